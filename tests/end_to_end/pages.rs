//! The documents for people: their links lead somewhere, and what they show is what the product has.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use serde_json::Value;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// Returns the paths of all files with this ending that git knows or would take.
async fn files(pattern: &str) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .args(["--", pattern])
        .current_dir(root())
        .output()
        .await?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    let all = String::from_utf8(output.stdout)?;
    let there = all.lines().filter(|path| root().join(path).is_file());
    Ok(there.map(str::to_owned).collect())
}

/// Returns the text without its code blocks.
fn prose(text: &str) -> String {
    let mut in_code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        if !in_code && !is_fence {
            lines.push(line);
        }
        in_code ^= is_fence;
    }
    lines.join("\n")
}

/// Returns the anchors of the headings, in the form that GitHub gives them.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let titles = text.lines().filter(|line| line.starts_with('#'));
    let slug = |title: &str| -> String {
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        let title = title.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    titles.map(slug).collect()
}

/// Returns the targets of links to files and headings of this repository.
fn targets(text: &str) -> Vec<String> {
    let text = prose(text);
    let links = text.split("](").skip(1);
    let target = |rest: &str| rest.split_once(')').map(|(target, _)| target.to_owned());
    let ours = |target: &String| !target.contains("://");
    links.filter_map(target).filter(ours).collect()
}

/// Returns what stands between single backticks.
fn quoted(text: &str) -> Vec<String> {
    let text = prose(text);
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_link_leads_somewhere() -> Result<()> {
    let mut wrong = Vec::new();
    let mut known = BTreeMap::new();
    for path in files("*.md").await? {
        let file = root().join(&path).canonicalize()?;
        known.insert(file, read(&path)?);
    }
    for (file, text) in &known {
        for target in targets(text) {
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = file.parent().context("a file has a folder")?;
            let there = match path {
                "" => Ok(file.clone()),
                path => folder.join(path).canonicalize(),
            };
            let has_anchor = |there: &PathBuf| {
                let text = known.get(there);
                anchor.is_empty() || text.is_some_and(|text| anchors(text).contains(anchor))
            };
            if !there.is_ok_and(|there| has_anchor(&there)) {
                wrong.push(format!("{} -> {target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_python_client_of_the_documents_holds_a_lock() -> Result<()> {
    let page = read("gateway/docs/http-api.md")?;
    let blocks = page.split("```python\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    let client = blocks.find(|block| block.contains("def hold("));
    let client = client.context("the page has a client")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("hold.py");
    std::fs::write(&file, client)?;

    let gateway = Gateway::start().await?;
    let python = Command::new("python3")
        .arg(&file)
        .env("LEASEHOLD_URL", gateway.url())
        .env("LEASEHOLD_KEY", ADMIN_KEY)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, python).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.lines().count(), 3, "{output:?}");
    assert!(said.starts_with("step 0 under token "), "{said}");
    let view = gateway
        .admin()
        .get("/v1/namespaces/demo/locks/report")
        .await?;
    assert_eq!(view.body["state"], "free", "{view:?}");
    Ok(())
}

#[tokio::test]
async fn every_problem_code_is_in_the_table() -> Result<()> {
    let page = read("gateway/docs/http-api.md")?;
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let status = cells.next()?.parse::<u16>().ok()?;
        let code = cells.next()?.trim_matches('`').to_owned();
        (400..600).contains(&status).then_some(code)
    });
    let told: BTreeSet<String> = rows.collect();
    let described: Value = serde_json::from_str(&read("sdk/wire/openapi.json")?)?;
    let codes = described["components"]["schemas"]["ErrorCode"]["enum"].as_array();
    let codes = codes.context("the description has the codes")?;
    let codes = codes.iter().filter_map(Value::as_str).map(str::to_owned);
    assert_eq!(told, codes.collect());
    Ok(())
}

#[tokio::test]
async fn metrics_and_keys_that_the_documents_name_are_there() -> Result<()> {
    let mut sources = String::new();
    for path in files("gateway/*/src/*.rs").await? {
        sources.push_str(&read(&path)?);
    }
    let example = read("config.example.toml")?;
    let sections = [
        "listen",
        "limits",
        "storage",
        "cluster",
        "safe_mode",
        "audit",
        "policy",
        "telemetry",
        "bootstrap",
    ];
    let mut wrong = Vec::new();
    for path in files("gateway/docs/*.md").await? {
        for name in quoted(&read(&path)?) {
            let word = |c: char| !c.is_ascii_lowercase() && c != '_';
            let metric = name.split(word).next().unwrap_or_default();
            if metric.starts_with("leasehold_") && !sources.contains(&format!("\"{metric}\"")) {
                wrong.push(format!("{path}: there is no metric {metric}"));
            }
            let key = name
                .split_once('.')
                .filter(|(section, key)| sections.contains(section) && !key.contains(word));
            let is_there = |key: &str| {
                let plain = format!("\n{key} = ");
                let unset = format!("\n#{key} = ");
                let section = format!(".{key}]");
                [plain, unset, section]
                    .iter()
                    .any(|text| example.contains(text))
            };
            if key.is_some_and(|(_, key)| !is_there(key)) {
                wrong.push(format!("{path}: there is no key {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
