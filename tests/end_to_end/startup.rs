//! Starting and stopping, as an operator does.

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::binary;

/// Runs the binary with a configuration file, and answers its exit code and what it said.
pub(super) fn serve_with(config: &str) -> Result<(Option<i32>, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("leasehold.toml");
    std::fs::write(&file, config)?;
    let output = Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .arg("--config")
        .arg(&file)
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .output()?;
    Ok((
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

#[tokio::test]
async fn a_wrong_configuration_is_one_clear_line_and_exit_64() -> Result<()> {
    for (config, names) in [
        ("[listen]\nadress = \"x\"\n", "adress"),
        ("[listen]\naddress = \"nonsense\"\n", "address"),
        ("[limits]\nconnections_max = -1\n", "connections_max"),
        ("this is not toml", "toml"),
    ] {
        let (code, said) = tokio::task::spawn_blocking(move || serve_with(config)).await??;
        assert_eq!(code, Some(64), "{config}: {said}");
        assert_eq!(said.lines().count(), 1, "{config}: {said}");
        assert!(said.contains(names), "{config}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn listening_beyond_loopback_without_tls_is_refused_unless_asked_for_by_name() -> Result<()> {
    let run = || {
        let folder = tempfile::tempdir()?;
        let output = Command::new(binary())
            .args(["serve", "--listen", "0.0.0.0:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
            .output()?;
        anyhow::Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    let (code, said) = tokio::task::spawn_blocking(run).await??;
    assert_eq!(code, Some(64), "{said}");
    assert!(
        said.contains("insecure_without_tls"),
        "it says what to ask for: {said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_bug_that_it_cannot_have_keeps_a_gateway_from_starting() -> Result<()> {
    let run = || {
        Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("LEASEHOLD_PLANTED_BUG", "no-such-bug")
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("LEASEHOLD_PLANTED_BUG"), "{said}");
    Ok(())
}

#[tokio::test]
async fn two_gateways_never_share_a_data_directory() -> Result<()> {
    let gateway = Gateway::start().await?;
    let data_dir = gateway.data_dir().to_owned();
    let run = move || {
        Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
            .output()
    };
    let output = tokio::task::spawn_blocking(run).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("lock"), "{said}");
    assert_eq!(gateway.admin().acquire("a", 10_000).await?.status, 201);
    Ok(())
}

#[tokio::test]
async fn sigterm_drains_and_nothing_is_lost() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let grant = gateway.admin().acquire("a", 60_000).await?;
    assert_eq!(grant.status, 201);
    assert_eq!(gateway.terminate().await?, Some(0));
    gateway.restart().await?;
    let view = gateway.admin().get("/v1/namespaces/demo/locks/a").await?;
    let token = &view.body["holders"][0]["fencing_token"];
    assert_eq!(*token, grant.body["fencing_token"], "{view:?}");
    Ok(())
}

#[tokio::test]
async fn health_readiness_metrics_and_openapi_answer() -> Result<()> {
    let gateway = Gateway::start().await?;
    let nobody = gateway.api(None);
    assert_eq!(nobody.get("/healthz").await?.status, 200);
    let ready = nobody.get("/readyz").await?;
    assert_eq!(ready.status, 200, "{ready:?}");
    gateway.admin().acquire("a", 10_000).await?;
    let metrics = nobody.get("/metrics").await?;
    assert_eq!(metrics.status, 200, "{metrics:?}");
    for name in [
        "leasehold_policy_decisions_total",
        "leasehold_leases",
        "leasehold_ledger_lag_events",
        "leasehold_ledger_lag_seconds",
        "leasehold_commit_commands_bucket{store=\"home\",le=\"1\"}",
    ] {
        assert!(
            metrics.text.contains(name),
            "{name} is not in\n{}",
            metrics.text
        );
    }
    let openapi = nobody.get("/openapi.json").await?;
    let version = openapi.body["openapi"].as_str().context("openapi")?;
    assert!(version.starts_with("3.1"), "{version}");
    Ok(())
}

/// A first start with its standard output somewhere.
fn first_start(data_dir: &Path, options: &[&str], stdout: Stdio) -> Result<Child> {
    Ok(Command::new(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .args(options)
        .env_remove("LEASEHOLD_ADMIN_KEY")
        .stdout(stdout)
        .spawn()?)
}

/// Pastes three lines into a shell. Reads no further than the third, and closes: the gateway must
/// serve on. Returns all lines that were read.
fn paste(mut child: Child, stdout: impl std::io::Read) -> Result<String> {
    let (mut pasted, mut read) = (Vec::new(), String::new());
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        read += &format!("{line}\n");
        if line.trim().starts_with("curl ") {
            pasted.push(line.trim().to_owned());
        }
        if pasted.len() == 3 {
            break;
        }
    }
    let results: Vec<_> = pasted
        .iter()
        .map(|line| {
            Command::new("sh")
                .arg("-c")
                .arg(format!("{line} --fail-with-body"))
                .output()
        })
        .collect();
    child.kill()?;
    child.wait()?;
    assert_eq!(pasted.len(), 3, "three lines to paste: {read}");
    for (line, result) in pasted.iter().zip(results) {
        let output = result?;
        assert!(output.status.success(), "{line}\n{output:?}");
    }
    Ok(read)
}

#[test]
fn the_printed_lines_work_when_pasted_and_a_log_holds_no_key() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("it's \"$HOME\"");
    let mut child = first_start(&data_dir, &[], Stdio::piped())?;
    let stdout = child.stdout.take().context("stdout")?;
    let read = paste(child, stdout)?;
    let file = data_dir.join("administrator.key");
    let key = std::fs::read_to_string(&file)?;
    assert!(key.starts_with("lh_"), "{}", key.len());
    assert!(!read.contains("lh_"), "the key is in what is printed");
    assert!(read.contains(&file.display().to_string()), "{read}");
    let mode = std::fs::metadata(&file)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    Ok(())
}

#[test]
fn a_terminal_is_shown_the_key_and_no_file_has_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let terminal = nix::pty::openpty(None, None)?;
    let child = first_start(folder.path(), &[], Stdio::from(terminal.slave))?;
    let read = paste(child, std::fs::File::from(terminal.master))?;
    assert!(read.contains("\n  lh_"), "{read}");
    assert!(!folder.path().join("administrator.key").exists());
    Ok(())
}

#[tokio::test]
async fn the_namespace_demo_is_made_unless_it_is_not_wanted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let options = GatewayOptions {
        data_dir: Some(folder.path().to_owned()),
        config: "[bootstrap]\ndemo = false\n".to_owned(),
        log: None,
        ..GatewayOptions::default()
    };
    let gateway = Gateway::start_with(options).await?;
    let listed = gateway.admin().get("/v1/namespaces").await?;
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(!listed.text.contains("demo"), "{listed:?}");
    let bindings = gateway.admin().get("/v1/bindings").await?;
    assert!(!bindings.text.contains("demo"), "{bindings:?}");
    let policies = gateway.admin().get("/v1/policies").await?;
    assert!(policies.text.contains("ttl-bounds"), "{policies:?}");
    drop(gateway);
    // The same by the command line, with the key that it makes.
    let folder = tempfile::tempdir()?;
    let mut child = first_start(folder.path(), &["--no-demo"], Stdio::piped())?;
    let stdout = BufReader::new(child.stdout.take().context("stdout")?);
    let mut told = stdout.lines().map_while(Result::ok);
    let url = told.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let key = std::fs::read_to_string(folder.path().join("administrator.key"))?;
    let api = Api::new(&url.context("where it listens")?, Some(&key));
    let listed = api.get("/v1/namespaces").await;
    child.kill()?;
    child.wait()?;
    let listed = listed?;
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(!listed.text.contains("demo"), "{listed:?}");
    // There is no lock that lines to paste could take.
    let rest = told.collect::<Vec<_>>().join("\n");
    assert!(
        rest.contains("administrator.key") && !rest.contains("curl"),
        "{rest}"
    );
    Ok(())
}
