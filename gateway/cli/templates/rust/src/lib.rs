//! The component: what the gateway calls. The rule itself is in `rule.rs`.

mod rule;

use leasehold::policy::types::Inputs;

wit_bindgen::generate!({ path: "wit", world: "policy" });

/// What verdicts (and traces) depend on.
const READS: [&str; 3] = ["request.lock", "request.labels", "principal.subject"];

struct Policy;

impl Guest for Policy {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operations: vec!["acquire".to_owned()],
            needs_lock: false,
            needs_usage: false,
            config_schema: include_str!("../schema.json").to_owned(),
            // The rule sees only these inputs, so the gateway may cache its verdicts. With `None` it
            // sees all inputs, and its verdicts are not cached.
            reads: Some(Inputs {
                fields: READS.map(str::to_owned).to_vec(),
                now_granularity_ms: None,
            }),
        }
    }

    fn check(config: String) -> Result<(), String> {
        trace_panics();
        rule::Config::read(&config).map(drop)
    }

    fn decide(
        request: Request,
        principal: Principal,
        facts: Facts,
        config: String,
    ) -> Result<Verdict, String> {
        trace_panics();
        let config = rule::Config::read(&config)?;
        trace(&format!("{} asks for {}", principal.subject, request.lock));
        Ok(rule::decide(&request, &principal, &facts, &config))
    }
}

/// Traces the text of a panic: the gateway shows authors what was traced last.
fn trace_panics() {
    std::panic::set_hook(Box::new(|panic| trace(&panic.to_string())));
}

export!(Policy);
