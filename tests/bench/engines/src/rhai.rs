//! Rhai: a function of a script.

use rhai::AST;
use rhai::Engine;
use rhai::Map;
use rhai::Scope;

use crate::question::AREAS;
use crate::question::Question;
use crate::question::TTL_MS_MAX;
use crate::question::TTL_MS_MIN;

pub struct Rhai {
    engine: Engine,
    rule: AST,
}

impl Rhai {
    pub fn new() -> Self {
        let claims: Vec<String> = (0..AREAS)
            .map(|area| format!(r##"#{{prefix: "area-{area}/", team: "t{area}"}}"##))
            .collect();
        let rule = format!(
            r#"
            const CLAIMS = [{}];
            fn allows(request) {{
                let owned = false;
                for claim in global::CLAIMS {{
                    if request.lock.starts_with(claim.prefix) && claim.team == request.team {{
                        owned = true;
                        break;
                    }}
                }}
                owned && request.ttl_ms >= {TTL_MS_MIN} && request.ttl_ms <= {TTL_MS_MAX}
            }}"#,
            claims.join(", ")
        );
        let mut engine = Engine::new();
        // It is shown untrusted scripts, as a policy engine is.
        engine.set_max_operations(1_000_000);
        let rule = engine.compile(rule).expect("a script");
        Self { engine, rule }
    }

    pub fn decide(&self, question: &Question) -> bool {
        let labels = question.labels.iter();
        let labels: Map = labels
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect();
        let ttl_ms = i64::try_from(question.ttl_ms).expect("small");
        let request: Map = [
            ("lock", question.lock.as_str().into()),
            ("subject", question.subject.as_str().into()),
            ("team", question.team.as_str().into()),
            ("ttl_ms", ttl_ms.into()),
            ("labels", labels.into()),
        ]
        .into_iter()
        .map(|(key, value): (&str, rhai::Dynamic)| (key.into(), value))
        .collect();
        let mut scope = Scope::new();
        let answer = self
            .engine
            .call_fn::<bool>(&mut scope, &self.rule, "allows", (request,));
        answer.expect("an answer")
    }
}
