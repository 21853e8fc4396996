//! What the gateway says on standard output when it listens: for people who paste, and for
//! programs that start it on a free port.

use std::io::Write;
use std::net::SocketAddr;

/// Prints where the gateway listens. Programs read the line that begins with `listening on `.
pub fn listening(out: &mut impl Write, scheme: &str, address: SocketAddr) -> std::io::Result<()> {
    writeln!(out, "listening on {scheme}://{address}")
}

/// Prints where administration listens, if that is elsewhere.
pub fn administration(
    out: &mut impl Write,
    scheme: &str,
    address: SocketAddr,
) -> std::io::Result<()> {
    writeln!(out, "administration on {scheme}://{address}")
}

/// Prints the first key, once, and three lines that work when pasted.
pub fn first_start(
    out: &mut impl Write,
    scheme: &str,
    address: SocketAddr,
    key: &str,
) -> std::io::Result<()> {
    let url = format!("{scheme}://{address}/v1/namespaces/demo/locks/nightly");
    let common =
        format!("-sS -H 'authorization: Bearer {key}' -H 'content-type: application/json'");
    writeln!(out)?;
    writeln!(
        out,
        "This is the first start. The administrator's key is shown once, here:"
    )?;
    writeln!(out)?;
    writeln!(out, "  {key}")?;
    writeln!(out)?;
    writeln!(
        out,
        "Namespace demo is ready. Take its lock nightly, look at it, take it from its holder:"
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "  curl {common} -X POST '{url}:acquire' -d '{{\"ttl_ms\":60000}}'"
    )?;
    writeln!(out, "  curl {common} '{url}'")?;
    writeln!(
        out,
        "  curl {common} -X POST '{url}:revoke' -d '{{\"reason\":\"trying it out\",\"labels\":{{\"ticket\":\"DEMO-1\"}}}}'"
    )?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lines_can_be_pasted() {
        let mut out = Vec::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 7878));
        first_start(&mut out, "http", address, "lh_a_b").unwrap();
        let text = String::from_utf8(out).unwrap();
        let pasted: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("curl "))
            .collect();
        assert_eq!(pasted.len(), 3, "{text}");
        for line in pasted {
            assert!(
                line.contains("127.0.0.1:7878") && line.contains("lh_a_b"),
                "{line}"
            );
        }
    }
}
