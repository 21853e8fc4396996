//! What failing tests said, found in the output of all of them.

/// Lines of one failing test that are kept: its last ones, where its panic stands.
const LINES_OF_A_TEST_MAX: usize = 60;

/// Collects the reports of failures from the output of libtest.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    lines: Vec<String>,
    /// Where the report of the present test begins; `None` outside of a report.
    begun: Option<usize>,
}

impl Failures {
    /// Looks at one more line of the output.
    pub(crate) fn see(&mut self, line: &str) {
        let is_head = line.starts_with("---- ") && line.ends_with(" ----");
        match self.begun {
            None if line != "failures:" => return,
            None => self.begun = Some(self.lines.len()),
            Some(_) if is_head || line == "failures:" => self.begun = Some(self.lines.len()),
            Some(begun) if self.lines.len() - begun > LINES_OF_A_TEST_MAX => {
                self.lines.remove(begun + 1);
            }
            Some(_) => {}
        }
        self.lines.push(line.to_owned());
        if line.starts_with("test result: ") {
            self.begun = None;
        }
    }

    /// The reports, in the order in which they came.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(output: &str) -> Vec<String> {
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.see(line));
        failures.lines().to_vec()
    }

    const PASSED: &str = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n";

    #[test]
    fn tests_that_pass_say_nothing() {
        assert!(seen(PASSED).is_empty());
    }

    #[test]
    fn the_report_of_a_failure_is_kept_and_what_is_around_it_is_not() {
        let report = "failures:\n\n---- b stdout ----\nthread 'b' panicked\n\nfailures:\n    b\n\n\
                      test result: FAILED. 0 passed; 1 failed";
        let output = format!("{PASSED}\ntest b ... FAILED\n\n{report}\n\n{PASSED}");
        assert_eq!(seen(&output).join("\n"), report);
    }

    #[test]
    fn of_a_long_report_the_end_is_kept_for_each_test() {
        let long: String = (0..500).map(|n| format!("line {n}\n")).collect();
        let output = format!(
            "failures:\n\n---- a stdout ----\n{long}\n---- b stdout ----\n{long}\nfailures:\n    \
             a\n    b\n\ntest result: FAILED. 2 failed"
        );
        let kept = seen(&output);
        assert!(kept.len() < 2 * LINES_OF_A_TEST_MAX + 20, "{}", kept.len());
        let count = |line: &str| kept.iter().filter(|kept| *kept == line).count();
        assert_eq!(count("---- a stdout ----"), 1);
        assert_eq!(count("---- b stdout ----"), 1);
        assert_eq!((count("line 499"), count("line 0")), (2, 0));
        assert_eq!((count("    a"), count("    b")), (1, 1));
    }
}
