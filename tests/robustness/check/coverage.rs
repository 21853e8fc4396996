//! A run without faults, or without load, shows nothing.

use super::Expected;
use crate::robustness::Answer;
use crate::robustness::History;

pub(super) fn check(history: &History, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    for kind in &expected.faults {
        if !history.faults.iter().any(|fault| fault.kind == *kind) {
            wrong.push(format!("no fault of kind {kind}"));
        }
    }
    let good = |answer: &Answer| matches!(answer, Answer::Ok(_));
    let good = history.calls.iter().filter(|c| good(&c.answer)).count();
    if good < expected.calls_min {
        let least = expected.calls_min;
        wrong.push(format!(
            "{good} calls were answered well, at least {least} should be"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::scene;
    use super::*;

    #[test]
    fn a_run_without_its_faults_or_load_is_found() {
        let expected = Expected {
            faults: vec!["kill".to_owned()],
            calls_min: 2,
            one_ledger: false,
        };
        let history = scene::history(vec![scene::granted("a", 1, 0, 10)]);
        assert_eq!(check(&history, &expected).len(), 2);
    }
}
