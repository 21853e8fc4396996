//! CEL by `cel`: one expression.

use std::collections::HashMap;

use cel::Context;
use cel::Program;
use cel::Value;

use crate::question::AREAS;
use crate::question::Question;
use crate::question::TTL_MS_MAX;
use crate::question::TTL_MS_MIN;

pub struct Cel(Program);

impl Cel {
    pub fn new() -> Self {
        let claims: Vec<String> = (0..AREAS)
            .map(|area| format!(r#"{{"prefix": "area-{area}/", "team": "t{area}"}}"#))
            .collect();
        let rule = format!(
            "[{}].exists(c, lock.startsWith(c.prefix) && c.team == team) && ttl_ms >= {TTL_MS_MIN} && ttl_ms <= {TTL_MS_MAX}",
            claims.join(", ")
        );
        Self(Program::compile(&rule).expect("a program"))
    }

    pub fn decide(&self, question: &Question) -> bool {
        let mut context = Context::default();
        let labels: HashMap<String, String> = question.labels.iter().cloned().collect();
        context.add_variable_from_value("lock", question.lock.clone());
        context.add_variable_from_value("subject", question.subject.clone());
        context.add_variable_from_value("team", question.team.clone());
        let ttl_ms = i64::try_from(question.ttl_ms).expect("small");
        context.add_variable_from_value("ttl_ms", ttl_ms);
        context.add_variable_from_value("labels", labels);
        self.0.execute(&context).expect("an answer") == Value::Bool(true)
    }
}
