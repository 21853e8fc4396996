//! Wildcards in plain text.

/// Leftmost first with one remembered star, so that the cost is at most pattern × text.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(byte) if fits(*byte, text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = &mut star else {
                    return false;
                };
                *from += 1;
                (p, t) = (*after, *from);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

fn fits(pattern: u8, byte: u8) -> bool {
    match pattern {
        b'?' => true,
        b'#' => byte.is_ascii_digit(),
        _ => pattern == byte,
    }
}
