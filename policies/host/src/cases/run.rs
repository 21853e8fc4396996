//! Runs cases.

use std::sync::Arc;

use leasehold_domain::Facts;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Principal;
use leasehold_domain::Request;

use super::expectation::Expectation;
use super::expectation::describe_answer;
use super::format::Case;
use super::format::Question;
use crate::bound::BoundPolicy;
use crate::evaluation::Evaluation;
use crate::module::Module;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The case's name.
    pub name: String,
    /// What was expected and what came instead; `None` if the case passed.
    pub failed: Option<Failed>,
    /// The policy's answer and its fuel; `None` if it was never asked.
    pub evaluation: Option<Evaluation>,
    /// What the policy traced.
    pub traces: Vec<String>,
}

/// An expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub answered: String,
}

impl Ran {
    /// Returns the codes of denials that the answer contains: the code of the denial, or the codes of
    /// the counters, with which the store denies.
    #[must_use]
    pub fn codes(&self) -> Vec<&str> {
        match self.evaluation.as_ref().map(|ran| &ran.answer) {
            Some(Ok(PolicyAnswer::Deny { code, .. })) => vec![code],
            Some(Ok(PolicyAnswer::Allow(limits))) => {
                let codes = limits.counters.iter().map(|counter| &counter.code);
                codes.filter_map(Option::as_deref).collect()
            }
            Some(Ok(PolicyAnswer::Error { .. }) | Err(_)) | None => Vec::new(),
        }
    }
}

/// A question to a module that took its configuration.
#[derive(Debug)]
pub struct Asked {
    policy: BoundPolicy,
    request: Request,
    principal: Principal,
    facts: Facts,
}

impl Asked {
    /// A question whose parts are known, such as those of a recorded decision.
    #[must_use]
    pub fn new(policy: BoundPolicy, request: Request, principal: Principal, facts: Facts) -> Self {
        Self {
            policy,
            request,
            principal,
            facts,
        }
    }

    /// Asks once.
    #[must_use]
    pub fn decide(&self) -> Evaluation {
        self.policy
            .decide(&self.request, &self.principal, &self.facts)
    }

    /// Asks once, and keeps what the policy traced.
    #[must_use]
    pub fn explain(&self) -> (Evaluation, Vec<String>) {
        self.policy
            .explain(&self.request, &self.principal, &self.facts)
    }
}

/// What was answered, in one line.
#[must_use]
pub fn answered(evaluation: &Evaluation) -> String {
    match &evaluation.answer {
        Ok(answer) => describe_answer(answer),
        Err(fault) => format!("no answer: the policy {fault}"),
    }
}

impl Question {
    /// Binds the module to the question's configuration, and makes the arguments.
    ///
    /// # Errors
    /// The module does not judge the operation, refuses the configuration, or a name in the question
    /// is not one.
    pub fn ask(&self, module: &Arc<Module>) -> Result<Asked, String> {
        let (request, principal, facts) = self.arguments()?;
        let operation = request.operation;
        if !module.manifest().operations.contains(&operation) {
            let operation = operation.as_str();
            return Err(format!("the policy does not judge {operation}"));
        }
        let policy = module
            .bind(&self.config)
            .map_err(|error| error.to_string())?;
        Ok(Asked {
            policy,
            request,
            principal,
            facts,
        })
    }
}

impl Case {
    /// Runs it.
    #[must_use]
    pub fn run(&self, module: &Arc<Module>) -> Ran {
        let ran = |met: bool, answered: String| Ran {
            name: self.name.clone(),
            failed: (!met).then(|| Failed {
                expected: self.expect.to_string(),
                answered,
            }),
            evaluation: None,
            traces: Vec::new(),
        };
        let asked = match self.question.ask(module) {
            Ok(asked) => asked,
            Err(problem) => {
                let met = match &self.expect {
                    Expectation::BadConfig(part) => problem.contains(part),
                    Expectation::Allow { .. } | Expectation::Deny { .. } => false,
                };
                return ran(met, problem);
            }
        };
        let (evaluation, traces) = asked.explain();
        let met = match &evaluation.answer {
            Ok(answer) => self.expect.met_by(answer),
            Err(_) => false,
        };
        Ran {
            evaluation: Some(evaluation.clone()),
            traces,
            ..ran(met, answered(&evaluation))
        }
    }
}
