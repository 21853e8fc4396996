//! Rego by `regorus`: by its interpreter, and by its virtual machine with a compiled program.

use std::sync::Mutex;

use regorus::CompiledPolicy;
use regorus::PolicyModule;
use regorus::Value;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;

use crate::question::AREAS;
use crate::question::Question;
use crate::question::TTL_MS_MAX;
use crate::question::TTL_MS_MIN;

const RULE: &str = "data.leasehold.allow";

pub struct Rego {
    policy: CompiledPolicy,
    /// A machine serves one decision at a time.
    machine: Mutex<RegoVM>,
}

impl Rego {
    pub fn new() -> Self {
        let rules = format!(
            r#"package leasehold
import rego.v1

default allow := false

allow if {{
    some claim in data.claims
    startswith(input.lock, claim.prefix)
    claim.team == input.principal.team
    input.ttl_ms >= {TTL_MS_MIN}
    input.ttl_ms <= {TTL_MS_MAX}
}}
"#
        );
        let claims: Vec<_> = (0..AREAS)
            .map(|area| serde_json::json!({"prefix": format!("area-{area}/"), "team": format!("t{area}")}))
            .collect();
        let data = Value::from_json_str(&serde_json::json!({ "claims": claims }).to_string());
        let data = data.expect("data");
        let module = PolicyModule {
            id: "leasehold.rego".into(),
            content: rules.as_str().into(),
        };
        let policy = regorus::compile_policy_with_entrypoint(data.clone(), &[module], RULE.into());
        let policy = policy.expect("a policy");
        let program = Compiler::compile_from_policy(&policy, &[RULE]).expect("a program");
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_data(data).expect("data");
        Self {
            policy,
            machine: Mutex::new(machine),
        }
    }

    pub fn decide(&self, question: &Question) -> bool {
        let answer = self.policy.eval_with_input(input(question));
        matches!(answer.expect("an answer"), Value::Bool(true))
    }

    pub fn decide_by_machine(&self, question: &Question) -> bool {
        let mut machine = self.machine.lock().expect("not poisoned");
        machine.set_input(input(question));
        matches!(machine.execute().expect("an answer"), Value::Bool(true))
    }
}

fn object<'k>(members: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let members = members.into_iter();
    let members = members.map(|(key, value)| (Value::from(key), value));
    Value::from(members.collect::<std::collections::BTreeMap<_, _>>())
}

fn input(question: &Question) -> Value {
    let labels = question.labels.iter();
    let labels = labels.map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
    let principal = [
        ("subject", Value::from(question.subject.as_str())),
        ("team", Value::from(question.team.as_str())),
    ];
    object([
        ("lock", Value::from(question.lock.as_str())),
        ("ttl_ms", Value::from(question.ttl_ms)),
        ("labels", object(labels)),
        ("principal", object(principal)),
    ])
}
