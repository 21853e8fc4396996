//! Administration cannot be locked out: the last administrator's key stays, and where it is gone all
//! the same an operator on the machine makes another.

use std::path::Path;
use std::process::Output;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::MEMBERS;
use leasehold_tests::cluster;
use serde_json::Value;
use serde_json::json;

const FIRST: &str = "/v1/keys/bootstrap";

async fn administrator(api: &Api, subject: &str) -> Result<(String, String)> {
    let body = json!({ "subject": subject, "roles": ["administrator"] });
    let made = api.post("/v1/keys", &body).await?;
    ensure!(made.status == 201, "{made:?}");
    Ok((
        made.text_of("key")?.to_owned(),
        made.text_of("id")?.to_owned(),
    ))
}

async fn in_force(api: &Api) -> Result<usize> {
    let listed = api.get("/v1/keys").await?;
    let keys = listed.body["keys"].as_array().context("keys")?;
    let administrators = keys.iter().filter(|key| {
        let roles = key["roles"].as_array().into_iter().flatten();
        key["revoked_at"].is_null() && roles.into_iter().any(|role| role == "administrator")
    });
    Ok(administrators.count())
}

/// The command, of a gateway that is stopped.
fn recover(data_dir: &Path, with_config: bool) -> Result<Output> {
    let mut command = std::process::Command::new(leasehold_tests::binary());
    command
        .args(["key", "recover", "--json", "--data-dir"])
        .arg(data_dir);
    if with_config {
        command.arg("--config").arg(data_dir.with_extension("toml"));
    }
    Ok(command.output()?)
}

/// Revokes the only key, stops the gateway, recovers, and starts it again: the new key administers,
/// and the ledger tells of it once.
async fn is_recovered(mut gateway: Gateway, with_config: bool) -> Result<()> {
    let forced = gateway
        .admin()
        .delete(&format!("{FIRST}?force=true"))
        .await?;
    ensure!(forced.status == 200, "{forced:?}");
    let refused = gateway.admin().get("/v1/keys").await?;
    ensure!(refused.status == 401, "{refused:?}");
    ensure!(gateway.terminate().await? == Some(0));
    let made = recover(gateway.data_dir(), with_config)?;
    ensure!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout)?;
    gateway.restart().await?;
    let api = gateway.api(made["key"].as_str());
    ensure!(in_force(&api).await? == 1);
    administrator(&api, "next").await?;
    let listed = api.get("/v1/keys").await?.body.to_string();
    ensure!(
        listed.contains(r#""created_by":"leasehold:key-recovery""#),
        "{listed}"
    );
    let told = api.ledger("operation=governance").await?;
    let id = made["id"].as_str().context("an id")?;
    let of_key = |row: &&Value| row["event"]["id"] == id || row.to_string().contains(id);
    let rows: Vec<&Value> = told.iter().filter(of_key).collect();
    // The key, and the review that somebody else is to close.
    ensure!(rows.len() == 2, "{rows:?}");
    for row in rows {
        ensure!(row.to_string().contains("leasehold:key-recovery"), "{row}");
    }
    let reviews = api.get("/v1/reviews").await?;
    let review = &reviews.body["reviews"][0];
    ensure!(
        review["kind"] == "key-recovery" && review["state"] == "open",
        "{reviews:?}"
    );
    let path = format!(
        "/v1/reviews/{}:close",
        review["id"].as_str().context("an id")?
    );
    let by_itself = api
        .post(&path, &serde_json::json!({ "note": "it was me" }))
        .await?;
    ensure!(by_itself.status == 403, "{by_itself:?}");
    let verified = api.get("/v1/audit/verify").await?;
    ensure!(verified.body["intact"] == true, "{verified:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_administrator_s_key_is_revoked_only_by_force() -> Result<()> {
    let gateway = Gateway::start().await?;
    let first = gateway.admin();
    gateway
        .principal("auditor", "team-a", &["auditor", "operator"])
        .await?;
    let refused = first.delete(FIRST).await?;
    ensure!(refused.status == 409, "{refused:?}");
    ensure!(refused.code() == "last_administrator", "{refused:?}");
    ensure!(refused.body["retryable"] == false, "{refused:?}");
    ensure!(refused.body["effect"] == "none", "{refused:?}");
    let wrong = first.delete(&format!("{FIRST}?force=maybe")).await?;
    ensure!(wrong.status == 422, "{wrong:?}");

    let (key, id) = administrator(&first, "second").await?;
    let second = gateway.api(Some(&key));
    ensure!(second.delete(FIRST).await?.status == 200);
    let path = format!("/v1/keys/{id}");
    ensure!(second.delete(&path).await?.code() == "last_administrator");
    // Revoked before, and asked again.
    ensure!(second.delete(FIRST).await?.status == 200);
    let by_hand = gateway.command_line(&key, &["key", "revoke", &id]).await?;
    ensure!(by_hand.status.code() == Some(78), "{by_hand:?}");
    let forced = gateway
        .command_line(&key, &["key", "revoke", &id, "--force"])
        .await?;
    ensure!(forced.status.success(), "{forced:?}");
    ensure!(second.get("/v1/keys").await?.status == 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn administrators_who_revoke_each_other_at_once_leave_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let gateways = cluster(&folder, "").await?;
    // The key of an administrator that is in force, and its id.
    let mut survivor = (ADMIN_KEY.to_owned(), "bootstrap".to_owned());
    for round in 0..5 {
        let api = gateways[0].api(Some(&survivor.0));
        let mut keys = Vec::new();
        for n in 0..MEMBERS {
            keys.push(administrator(&api, &format!("admin-{round}-{n}")).await?);
        }
        let old = format!("/v1/keys/{}", survivor.1);
        ensure!(api.delete(&old).await?.status == 200);
        // At its own gateway each revokes the next one's key.
        let revoking = (0..MEMBERS).map(|n| {
            let api = gateways[n].api(Some(&keys[n].0));
            let path = format!("/v1/keys/{}", keys[(n + 1) % MEMBERS].1);
            async move { api.delete(&path).await }
        });
        for outcome in futures_util::future::join_all(revoking).await {
            let outcome = outcome?;
            ensure!(
                [200, 401, 409, 412].contains(&outcome.status),
                "{outcome:?}"
            );
        }
        let mut left = Vec::new();
        for key in keys {
            let listed = gateways[0].api(Some(&key.0)).get("/v1/keys").await?;
            left.extend((listed.status == 200).then_some(key));
        }
        survivor = left.pop().context("nobody is left")?;
        ensure!(in_force(&gateways[0].api(Some(&survivor.0))).await? == left.len() + 1);
        for (_, id) in left {
            let api = gateways[0].api(Some(&survivor.0));
            ensure!(api.delete(&format!("/v1/keys/{id}")).await?.status == 200);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_recovered_in_a_stopped_gateway_s_folder() -> Result<()> {
    let gateway = Gateway::start().await?;
    let in_use = recover(gateway.data_dir(), false)?;
    ensure!(in_use.status.code() == Some(69), "{in_use:?}");
    is_recovered(gateway, false).await?;
    // Nothing is made where nothing is.
    let folder = tempfile::tempdir()?;
    let nothing = folder.path().join("data");
    let refused = recover(&nothing, false)?;
    ensure!(refused.status.code() == Some(69), "{refused:?}");
    ensure!(!nothing.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_recovered_in_a_database() -> Result<()> {
    let server = Postgres::start().await;
    let config = format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{}\"\n\
         allow_unreplicated = true\n",
        server.url("postgres")
    );
    let options = GatewayOptions {
        config,
        ..GatewayOptions::default()
    };
    is_recovered(Gateway::start_with(options).await?, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_recovered_in_etcd() -> Result<()> {
    let servers = Etcd::start(1).await;
    let config = format!(
        "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {:?}\n",
        servers.endpoints()
    );
    let options = GatewayOptions {
        config,
        ..GatewayOptions::default()
    };
    is_recovered(Gateway::start_with(options).await?, true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_recovered_by_a_stopped_member_of_a_cluster() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut gateways = cluster(&folder, "").await?;
    let forced = gateways[0]
        .admin()
        .delete(&format!("{FIRST}?force=true"))
        .await?;
    ensure!(forced.status == 200, "{forced:?}");
    ensure!(gateways[2].terminate().await? == Some(0));
    let made = recover(gateways[2].data_dir(), true)?;
    ensure!(made.status.success(), "{made:?}");
    let made: Value = serde_json::from_slice(&made.stdout)?;
    // The others have served all the time, and know it.
    let api = gateways[0].api(made["key"].as_str());
    ensure!(in_force(&api).await? == 1);
    Ok(())
}
