//! Sections of a component: custom ones are where a module carries its test cases, so that they are
//! stored with it.

/// The section's kind byte of a custom section.
const CUSTOM: u8 = 0;
/// Magic and version of a component.
const HEADER_BYTES: usize = 8;

/// The bytes of the first custom section of that name at the component's top level.
pub(crate) fn find<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = wasm.get(HEADER_BYTES..)?;
    while let Some((&kind, after)) = rest.split_first() {
        let (size, after) = read_u32(after)?;
        let (body, after) = after.split_at_checked(size)?;
        if kind == CUSTOM {
            let (name_bytes, body) = read_u32(body)?;
            let (found, data) = body.split_at_checked(name_bytes)?;
            if found == name.as_bytes() {
                return Some(data);
            }
        }
        rest = after;
    }
    None
}

/// The component with one custom section more.
pub(crate) fn append(wasm: &[u8], name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(data.len() + name.len() + 5);
    write_text(&mut body, name);
    body.extend_from_slice(data);
    let mut whole = wasm.to_vec();
    write_section(&mut whole, CUSTOM, &body);
    whole
}

/// Appends a section.
pub(crate) fn write_section(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    write_u32(out, body.len());
    out.extend_from_slice(body);
}

/// Appends a name.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_u32(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// LEB128, at most five bytes.
fn read_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((value as usize, &bytes[index + 1..]));
        }
    }
    None
}

/// Appends a number as LEB128.
pub(crate) fn write_u32(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_was_appended_is_found() {
        let data = vec![7; 300];
        let wasm = append(&append(EMPTY, "other", b"x"), "mine", &data);
        assert_eq!(find(&wasm, "mine"), Some(&data[..]));
        assert_eq!(find(&wasm, "other"), Some(&b"x"[..]));
        assert_eq!(find(&wasm, "none"), None);
    }

    #[test]
    fn every_truncation_ends_quietly() {
        let wasm = append(EMPTY, "mine", &[7; 300]);
        for length in 0..wasm.len() {
            assert_eq!(find(&wasm[..length], "mine"), None, "{length}");
        }
        assert_eq!(
            find(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff\xff", "mine"),
            None
        );
    }
}
