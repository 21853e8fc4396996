//! Errors of libraries and of the system, for people.

use std::error::Error;

/// The message without the system's error numbers: `Permission denied`, not `Permission denied (os
/// error 13)`.
pub fn plain(message: &str) -> String {
    let mut rest = message;
    let mut text = String::with_capacity(message.len());
    while let Some((before, after)) = rest.split_once(" (os error ") {
        text.push_str(before);
        rest = match after.split_once(')') {
            Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => after,
            _ => {
                text.push_str(" (os error ");
                after
            }
        };
    }
    text.push_str(rest);
    text
}

/// The error with its causes, each said once, in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !message.contains(&said) {
            message = format!("{message}: {said}");
        }
        cause = inner.source();
    }
    plain(&message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_left_out() {
        for (message, plainly) in [
            ("a: Permission denied (os error 13)", "a: Permission denied"),
            ("x (os error 2); y (os error 3)!", "x; y!"),
            ("(os error x)", "(os error x)"),
            ("x (os error y)", "x (os error y)"),
            ("x", "x"),
        ] {
            assert_eq!(plain(message), plainly);
        }
    }
}
