//! What the gateway says on standard output when it listens: for people who paste, and for
//! programs that start it on a free port.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Prints where the gateway listens. Programs read the line that begins with `listening on `.
pub(super) fn listening(
    out: &mut impl Write,
    scheme: &str,
    address: SocketAddr,
) -> std::io::Result<()> {
    writeln!(out, "listening on {scheme}://{address}")
}

/// Prints where administration listens, if that is elsewhere.
pub(super) fn administration(
    out: &mut impl Write,
    scheme: &str,
    address: SocketAddr,
) -> std::io::Result<()> {
    writeln!(out, "administration on {scheme}://{address}")
}

/// Where the first administrator's key is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum FirstKey<'a> {
    /// On the terminal, here and never again.
    Shown(&'a str),
    /// In a file that only this user can read.
    Written(&'a Path),
}

/// Prints where the first key is, and with the namespace `demo` three lines that work when pasted.
pub(super) fn first_start(
    out: &mut impl Write,
    url: &str,
    key: FirstKey<'_>,
    demo: bool,
) -> std::io::Result<()> {
    let bearer = match key {
        FirstKey::Shown(key) => key.to_owned(),
        FirstKey::Written(file) => format!("$(cat \"{}\")", quoted(file)),
    };
    writeln!(out)?;
    match key {
        FirstKey::Shown(key) => writeln!(
            out,
            "This is the first start. The administrator's key is shown once, here:\n\n  {key}\n"
        )?,
        FirstKey::Written(file) => writeln!(
            out,
            "This is the first start. The administrator's key is in a file that only this user can \
             read:\n\n  {}\n",
            file.display()
        )?,
    }
    if !demo {
        return Ok(());
    }
    let lock = format!("'{url}/v1/namespaces/demo/locks/nightly");
    let curl = format!(
        "  curl -sS -H \"authorization: Bearer {bearer}\" -H 'content-type: application/json'"
    );
    writeln!(
        out,
        "Namespace demo is ready. Take its lock nightly, look at it, take it from its holder:\n"
    )?;
    writeln!(
        out,
        "{curl} -X POST {lock}:acquire' -d '{{\"ttl_ms\":60000}}'"
    )?;
    writeln!(out, "{curl} {lock}'")?;
    writeln!(
        out,
        "{curl} -X POST {lock}:revoke' -d '{{\"reason\":\"trying it out\",\"labels\":{{\"ticket\":\"DEMO-1\"}}}}'"
    )?;
    writeln!(out)
}

/// A path as it stands between double quotes in a shell.
fn quoted(file: &Path) -> String {
    let mut quoted = String::new();
    for c in file.display().to_string().chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_can_be_pasted() {
        let file = Path::new("/data/administrator.key");
        for (key, found) in [
            (FirstKey::Shown("lh_a_b"), "Bearer lh_a_b\""),
            (
                FirstKey::Written(file),
                "$(cat \"/data/administrator.key\")\"",
            ),
        ] {
            let mut out = Vec::new();
            first_start(&mut out, "http://127.0.0.1:7878", key, true).unwrap();
            let text = String::from_utf8(out).unwrap();
            let pasted: Vec<&str> = text
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("curl "))
                .collect();
            assert_eq!(pasted.len(), 3, "{text}");
            for line in pasted {
                assert!(
                    line.contains("http://127.0.0.1:7878") && line.contains(found),
                    "{line}"
                );
            }
        }
    }
}
