//! A ledger that was changed behind the gateway's back is not served as if nothing had happened.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::binary;
use tokio::process::Command;

#[tokio::test]
async fn a_gateway_does_not_start_on_a_changed_ledger_and_says_where() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let culprit = gateway.service("culprit-7", "team-a").await?;
    assert_eq!(culprit.acquire("a", 60_000).await?.status, 201);
    gateway.admin().settled().await?;
    assert_eq!(gateway.terminate().await?, Some(0));

    let ledger = gateway.data_dir().join("ledger.sqlite");
    let before = std::fs::read(&ledger)?;
    let name = b"culprit-7";
    let at = before
        .windows(name.len())
        .rposition(|window| window == name)
        .context("the ledger's file holds the name")?;
    let mut changed = before.clone();
    changed[at + name.len() - 1] = b'8';
    std::fs::write(&ledger, &changed)?;
    let start = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(gateway.data_dir())
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), start)
        .await
        .context("it starts")??;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("ledger"), "{said}");

    std::fs::write(&ledger, &before)?;
    gateway.restart().await?;
    let rows = gateway.admin().ledger("subject=culprit-7").await?;
    assert_eq!(rows.len(), 1, "{rows:?}");
    Ok(())
}
