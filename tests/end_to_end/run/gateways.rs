//! Several gateways, and answers that are lost.

use super::*;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

#[tokio::test]
async fn every_command_tries_the_gateways_in_turn() -> Result<()> {
    let gateway = Gateway::start().await?;
    for urls in [
        format!("{NOBODY},{}", gateway.url()),
        format!("{} {NOBODY}", gateway.url()),
    ] {
        for words in [
            &["lock", "acquire", "demo/a", "--ttl", "1s", "--wait", "5s"][..],
            &["lock", "list", "demo"],
            &["audit", "query"],
            &["run", "--lock", "demo/b", "--", "true"],
        ] {
            let mut command = Command::new(binary());
            command
                .args(words)
                .env("LEASEHOLD_URL", &urls)
                .env("LEASEHOLD_KEY", ADMIN_KEY)
                .stdin(Stdio::null());
            let output = tokio::time::timeout(PATIENCE, command.output()).await??;
            assert_eq!(output.status.code(), Some(0), "{words:?} {output:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_output_ends_a_command_quietly() -> Result<()> {
    let gateway = Gateway::start().await?;
    for words in [
        "lock list demo",
        "lock list demo --json",
        "audit query",
        "--help",
    ] {
        // The reader is gone before anything is written.
        let script = format!(
            "(sleep 0.2; exec {} {words} 2>&3; ) | true; echo ${{PIPESTATUS[0]}}",
            binary().display()
        );
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("exec 3>&1; {script}")])
            .env("LEASEHOLD_URL", gateway.url())
            .env("LEASEHOLD_KEY", ADMIN_KEY)
            .stdin(Stdio::null());
        let output = tokio::time::timeout(PATIENCE, command.output()).await??;
        assert_eq!(String::from_utf8(output.stdout)?.trim(), "0", "{words}");
    }
    Ok(())
}
