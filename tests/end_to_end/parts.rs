//! The parts of a data directory, copied, exchanged, shortened and deleted: a gateway never grants
//! on parts of different age or origin.

mod accepting;
mod members;
mod shared;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::binary;

/// Nearly everything that the ledger has is forgotten by the store.
const FORGETS: &str = "[audit]\nkeep_events = 1\n";

async fn started(data_dir: &Path, config: &str) -> Result<Gateway> {
    let options = GatewayOptions {
        data_dir: Some(data_dir.to_owned()),
        config: config.to_owned(),
        log: None,
        ..GatewayOptions::default()
    };
    Gateway::start_with(options).await
}

/// Takes and releases locks; returns the last fencing token.
async fn cycles(api: &Api, count: usize) -> Result<u64> {
    let mut token = 0;
    for n in 0..count {
        let grant = api.acquire(&format!("cycle-{n}"), 60_000).await?;
        ensure!(grant.status < 300, "{grant:?}");
        token = grant.body["fencing_token"].as_u64().context("a token")?;
        let lease = grant.body["lease_id"].as_str().context("a lease")?;
        let released = api
            .with_lease(&format!("cycle-{n}"), "release", lease)
            .await?;
        ensure!(released.status == 200, "{released:?}");
    }
    Ok(token)
}

/// Starts a gateway, takes some locks, and stops it as an operator does.
async fn used(data_dir: &Path, config: &str, count: usize) -> Result<u64> {
    let mut gateway = started(data_dir, config).await?;
    let token = cycles(&gateway.admin(), count).await?;
    gateway.admin().settled().await?;
    ensure!(gateway.terminate().await? == Some(0));
    Ok(token)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success(), "{} cannot be copied", from.display());
    Ok(())
}

/// A copy of a data directory, to be changed.
fn copied(from: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let to = folder.join(name);
    copy(from, &to)?;
    Ok(to)
}

/// Removes a part, whether it is a file, a directory, or absent.
fn remove(data_dir: &Path, part: &str) -> Result<()> {
    let part = data_dir.join(part);
    match part.is_dir() {
        true => std::fs::remove_dir_all(part)?,
        false if part.exists() => std::fs::remove_file(part)?,
        false => {}
    }
    Ok(())
}

const LEDGER: [&str; 3] = ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"];

fn remove_ledger(data_dir: &Path) -> Result<()> {
    LEDGER.iter().try_for_each(|file| remove(data_dir, file))
}

/// Puts the ledger of another directory in the place of this one's.
fn exchange_ledger(data_dir: &Path, from: &Path) -> Result<()> {
    remove_ledger(data_dir)?;
    for file in LEDGER.iter().filter(|file| from.join(file).exists()) {
        copy(&from.join(file), &data_dir.join(file))?;
    }
    Ok(())
}

/// Puts the embedded store of another directory in the place of this one's.
fn exchange_store(data_dir: &Path, from: &Path) -> Result<()> {
    remove(data_dir, "raft")?;
    copy(&from.join("raft"), &data_dir.join("raft"))
}

/// Starts the gateway, which must refuse; returns what it says.
async fn refused(data_dir: &Path, config: &str) -> Result<String> {
    let file = data_dir.with_extension("toml");
    std::fs::write(&file, config)?;
    let start = tokio::process::Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .arg("--config")
        .arg(&file)
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), start);
    let output = output.await.context("it starts")??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(69),
        "{}: {said}",
        output.status
    );
    Ok(said)
}

/// Refused, and the message names two positions and what to do.
async fn refused_with_positions(data_dir: &Path, config: &str) -> Result<()> {
    let said = refused(data_dir, config).await?;
    let verified = Command::new(binary())
        .args(["audit", "verify", "--data-dir"])
        .arg(data_dir)
        .output()?;
    refused_offline(data_dir, config, &said)?;
    let embedded = !config.contains("backend") && data_dir.join("raft/log").is_dir();
    ensure!(
        !embedded || verified.status.code() == Some(65),
        "{verified:?}"
    );
    let positions = said.matches("event ").count() + said.matches("ledger's last is ").count();
    ensure!(positions >= 2, "both positions are named: {said}");
    ensure!(said.contains("bring") || said.contains("restore"), "{said}");
    Ok(())
}

/// What a start refuses, a backup of the directory and a new administrator's key are refused, too,
/// with the same words.
fn refused_offline(data_dir: &Path, config: &str, said: &str) -> Result<()> {
    let (data_dir, file) = (
        data_dir.display().to_string(),
        data_dir.with_extension("toml"),
    );
    let (file, backup) = (file.display().to_string(), format!("{data_dir}.backup"));
    let mut commands = vec![vec![
        "key",
        "recover",
        "--config",
        &file,
        "--data-dir",
        &data_dir,
    ]];
    if !config.contains("backend") {
        commands.push(vec!["backup", &backup, "--data-dir", &data_dir]);
    }
    for command in commands {
        let output = Command::new(binary()).args(&command).output()?;
        ensure!(output.status.code() == Some(69), "{command:?}: {output:?}");
        ensure!(!Path::new(&backup).exists(), "a backup was made");
        // Up to where the words may name the time or the place of a part.
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let reason = told.split("parts that do not match: ").nth(1);
        let reason = reason.context(told.clone())?;
        let begin: String = reason.chars().take(40).collect();
        ensure!(
            said.contains(&begin),
            "{command:?}: {told}, but a start: {said}"
        );
    }
    Ok(())
}

async fn verified(gateway: &Gateway) -> Result<Option<i32>> {
    let verified = gateway
        .command_line(ADMIN_KEY, &["audit", "verify"])
        .await?;
    Ok(verified.status.code())
}

type Change = fn(&Path, &Path) -> Result<()>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_older_or_gone_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    used(&data_dir, FORGETS, 5).await?;
    let old = copied(&data_dir, folder.path(), "old")?;
    let newest = used(&data_dir, FORGETS, 10).await?;
    let changes: [(&str, Change); 9] = [
        ("no store", |at, _| remove(at, "raft")),
        ("no store, no memory", |at, _| {
            remove(at, "raft")?;
            remove(at, "stores.json")
        }),
        ("no store, no ledger", |at, _| {
            remove(at, "raft")?;
            remove_ledger(at)
        }),
        ("no log", |at, _| remove(at, "raft/log")),
        ("an old store", exchange_store),
        ("an old store, no memory", |at, old| {
            exchange_store(at, old)?;
            remove(at, "stores.json")
        }),
        ("an old store, no ledger", |at, old| {
            exchange_store(at, old)?;
            remove_ledger(at)
        }),
        ("an old store and an old ledger", |at, old| {
            exchange_store(at, old)?;
            exchange_ledger(at, old)
        }),
        ("an old store and an old memory", |at, old| {
            exchange_store(at, old)?;
            remove(at, "stores.json")?;
            copy(&old.join("stores.json"), &at.join("stores.json"))
        }),
    ];
    for (name, change) in changes {
        let changed = copied(&data_dir, folder.path(), "changed")?;
        change(&changed, &old)?;
        let refusal = refused_with_positions(&changed, FORGETS).await;
        refusal.with_context(|| name.to_owned())?;
        std::fs::remove_dir_all(changed)?;
    }
    // Nothing is wrong with the whole directories, the old one included: nobody can know of the newer.
    let gateway = started(&data_dir, FORGETS).await?;
    ensure!(cycles(&gateway.admin(), 1).await? > newest);
    ensure!(verified(&gateway).await? == Some(0));
    started(&old, FORGETS).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_anothers_or_shorter_or_gone_is_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    used(&ours, FORGETS, 5).await?;
    let old = copied(&ours, folder.path(), "old")?;
    used(&ours, FORGETS, 10).await?;
    used(&theirs, FORGETS, 15).await?;
    let changes: [(&str, Change, &Path); 8] = [
        ("another's ledger", exchange_ledger, &theirs),
        (
            "another's ledger, no memory",
            |at, theirs| {
                exchange_ledger(at, theirs)?;
                remove(at, "stores.json")
            },
            &theirs,
        ),
        ("another's store", exchange_store, &theirs),
        (
            "another's store and memory",
            |at, theirs| {
                exchange_store(at, theirs)?;
                remove(at, "stores.json")?;
                copy(&theirs.join("stores.json"), &at.join("stores.json"))
            },
            &theirs,
        ),
        ("a shorter ledger", exchange_ledger, &old),
        (
            "a shorter ledger, no memory",
            |at, old| {
                exchange_ledger(at, old)?;
                remove(at, "stores.json")
            },
            &old,
        ),
        ("no ledger", |at, _| remove_ledger(at), &old),
        (
            "no ledger, no memory",
            |at, _| {
                remove_ledger(at)?;
                remove(at, "stores.json")
            },
            &old,
        ),
    ];
    for (name, change, from) in changes {
        let changed = copied(&ours, folder.path(), "changed")?;
        change(&changed, from)?;
        let refusal = refused_with_positions(&changed, FORGETS).await;
        refusal.with_context(|| name.to_owned())?;
        std::fs::remove_dir_all(changed)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_the_store_can_fill_is_filled_and_that_is_on_record() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    used(&data_dir, "", 5).await?;
    remove_ledger(&data_dir)?;
    let gateway = started(&data_dir, "").await?;
    let told = gateway.admin().ledger("operation=governance").await?;
    let filled = |row: &&serde_json::Value| row.to_string().contains("filled from the store");
    ensure!(told.iter().filter(filled).count() == 1, "{told:?}");
    ensure!(
        !gateway
            .admin()
            .ledger("lock=demo/cycle-1")
            .await?
            .is_empty()
    );
    ensure!(verified(&gateway).await? == Some(0));
    Ok(())
}

/// Overwrites all pages of a ledger but the first.
const DAMAGE_PAGES: &str = "
import sqlite3, sys
sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)')
with open(sys.argv[1], 'r+b') as ledger:
    length = ledger.seek(0, 2) - ledger.seek(4096)
    ledger.write(bytes([255]) * length)
";

fn python(script: &str, ledger: &Path) -> Result<()> {
    let mut python = Command::new("python3");
    let changed = python.args(["-c", script]).arg(ledger).status()?;
    ensure!(changed.success(), "{changed}");
    Ok(())
}

type ChangeOfLedger = fn(&Path) -> Result<()>;

/// Changes one bit of the newest events of a ledger.
const CHANGE_AN_EVENT: &str = "
import sqlite3, sys
ledger = sqlite3.connect(sys.argv[1])
first, bodies = ledger.execute('SELECT first, bodies FROM chunks ORDER BY first DESC').fetchone()
bodies = bytearray(bodies)
bodies[len(bodies) // 2] ^= 1
ledger.execute('UPDATE chunks SET bodies = ? WHERE first = ?', (bytes(bodies), first))
ledger.commit()
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_was_changed_in_place_is_not_what_was_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    used(&data_dir, "", 5).await?;
    let changes: [(&str, ChangeOfLedger); 3] = [
        // The newest events are read when the file is opened.
        ("an event", |ledger| python(CHANGE_AN_EVENT, ledger)),
        ("pages", |ledger| python(DAMAGE_PAGES, ledger)),
        ("another file", |ledger| {
            Ok(std::fs::write(ledger, "a note ".repeat(1_000))?)
        }),
    ];
    for (name, change) in changes {
        let changed = copied(&data_dir, folder.path(), "changed")?;
        change(&changed.join("ledger.sqlite"))?;
        let verified = Command::new(binary())
            .args(["audit", "verify", "--data-dir"])
            .arg(&changed)
            .output()?;
        ensure!(verified.status.code() == Some(65), "{name}: {verified:?}");
        std::fs::remove_dir_all(changed)?;
    }
    Ok(())
}
