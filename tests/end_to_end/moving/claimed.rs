//! A namespace about which two stores disagree, after one of them was restored from a backup.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;

use super::acquire;
use super::create;
use super::moved_to;
use super::until_ready;

async fn started(postgres: &Postgres, database: &str, data_dir: &Path) -> Result<Gateway> {
    let url = postgres.url(database);
    let config = format!(
        "[stores.eu]\nbackend = \"postgres\"\n[stores.eu.postgres]\nurl = \"{url}\"\n\
         allow_unreplicated = true\n"
    );
    let options = GatewayOptions {
        data_dir: Some(data_dir.to_owned()),
        config,
        log: None,
        ..GatewayOptions::default()
    };
    let gateway = Gateway::start_with(options).await?;
    until_ready(&gateway.admin(), "eu", true).await?;
    Ok(gateway)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_of_two_stores_serves_a_namespace_until_an_operator_chooses() -> Result<()> {
    let postgres = Postgres::start().await;
    let database = postgres.database().await;
    let folder = tempfile::tempdir()?;
    let (data_dir, old) = (folder.path().join("data"), folder.path().join("old"));
    let mut gateway = started(&postgres, &database, &data_dir).await?;
    let admin = gateway.admin();
    ensure!(create(&admin, "west", "home").await?.status == 201);
    ensure!(create(&admin, "east", "home").await?.status == 201);
    ensure!(acquire(&admin, "west/before").await?.status == 201);
    ensure!(gateway.terminate().await? == Some(0));
    copy(&data_dir, &old)?;
    let mut gateway = started(&postgres, &database, &data_dir).await?;
    moved_to(&gateway.admin(), "eu").await?;
    let granted = acquire(&gateway.admin(), "west/after").await?;
    let newest = granted.body["fencing_token"].as_u64().context("a token")?;
    ensure!(gateway.terminate().await? == Some(0));

    // The home store of yesterday has not heard of the move.
    for (chosen, after_is_held) in [("eu", true), ("home", false)] {
        let (restored, database_now) = (folder.path().join(chosen), format!("with_{chosen}"));
        copy(&old, &restored)?;
        let made = format!("CREATE DATABASE {database_now} TEMPLATE {database}");
        postgres.sql("postgres", &made).await;
        let mut gateway = started(&postgres, &database_now, &restored).await?;
        let admin = gateway.admin();
        for lock in ["west/before", "west/after", "west/new"] {
            let refused = acquire(&admin, lock).await?;
            ensure!(refused.code() == "fenced", "{refused:?}");
            ensure!(refused.body["effect"] == "none", "{refused:?}");
            for named in ["home", "eu", "leasehold namespace move west --to"] {
                ensure!(refused.text.contains(named), "{named}: {refused:?}");
            }
        }
        ensure!(acquire(&admin, "east/a").await?.status == 201);
        let choice = ["namespace", "move", "west", "--to", chosen];
        let chose = gateway.command_line(ADMIN_KEY, &choice).await?;
        ensure!(chose.status.success(), "{chose:?}");
        for restarts in [false, true] {
            if restarts {
                ensure!(gateway.terminate().await? == Some(0));
                gateway.restart().await?;
                until_ready(&gateway.admin(), "eu", true).await?;
            }
            let admin = gateway.admin();
            ensure!(acquire(&admin, "west/before").await?.code() == "held");
            let after = acquire(&admin, "west/after").await?;
            ensure!(
                (after.code() == "held") == (after_is_held || restarts),
                "{after:?}"
            );
            if after.status == 201 {
                let token = after.body["fencing_token"].as_u64();
                ensure!(token > Some(newest), "{after:?} after {newest}");
            }
        }
        let shown = gateway.admin().get("/v1/namespaces/west").await?;
        ensure!(shown.body["store"] == chosen, "{shown:?}");
        // It moves again as any other.
        let other = if chosen == "eu" { "home" } else { "eu" };
        moved_to(&gateway.admin(), other).await?;
        ensure!(acquire(&gateway.admin(), "west/before").await?.code() == "held");
        ensure!(gateway.terminate().await? == Some(0));
    }
    Ok(())
}
