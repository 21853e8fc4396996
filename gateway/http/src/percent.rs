//! Percent-encoding, as paths and queries have it.

use leasehold_core::failure::Failure;

/// Decodes percent-encoding once.
pub(super) fn decode(text: &str) -> Result<String, Failure> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bad = || Failure::invalid("the path is not percent-encoded UTF-8");
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().ok_or_else(bad)?, bytes.next().ok_or_else(bad)?];
        let mut decoded = [0];
        hex::decode_to_slice(digits, &mut decoded).map_err(|_| bad())?;
        out.push(decoded[0]);
    }
    String::from_utf8(out).map_err(|_| bad())
}
