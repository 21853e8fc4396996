//! What the command line and a start that fails say: what is wrong, where, and what to do; and that
//! variables which are empty count as ones that are not set.

use std::path::Path;
use std::process::Output;
use std::process::Stdio;

use anyhow::Result;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use tokio::process::Command;

/// Words of libraries and of the system, which tell a person nothing.
const FOREIGN_WORDS: [&str; 7] = [
    "builder error",
    "relative URL",
    "os error",
    "expected u64",
    "struct ",
    "socket address syntax",
    "oneOf",
];

async fn leasehold(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(leasehold_tests::binary());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in [
        "LEASEHOLD_URL",
        "LEASEHOLD_KEY",
        "LEASEHOLD_KEY_FILE",
        "LEASEHOLD_ADMIN_KEY",
    ] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    Ok(command.output().await?)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn empty_variables_count_as_ones_that_are_not_set() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{ADMIN_KEY}\n"))?;
    let file = file.display().to_string();
    for (key, key_file) in [
        ("", file.as_str()),
        (" ", &file),
        (ADMIN_KEY, ""),
        (ADMIN_KEY, &file),
    ] {
        let variables = [
            ("LEASEHOLD_URL", gateway.url()),
            ("LEASEHOLD_KEY", key),
            ("LEASEHOLD_KEY_FILE", key_file),
        ];
        let output = leasehold(&["key", "list"], &variables).await?;
        assert!(
            output.status.success(),
            "{key:?} {key_file:?}: {}",
            said(&output)
        );
    }
    let none = [
        ("LEASEHOLD_URL", ""),
        ("LEASEHOLD_KEY", ""),
        ("LEASEHOLD_KEY_FILE", ""),
    ];
    let output = leasehold(&["key", "list"], &none).await?;
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(
        said(&output).contains("no key: set LEASEHOLD_KEY"),
        "{}",
        said(&output)
    );
    Ok(())
}

/// Runs each command line, which must fail with these words and without foreign ones.
async fn each_says(mistakes: &[(Vec<&str>, &str)]) -> Result<()> {
    for (arguments, expected) in mistakes {
        let output = leasehold(arguments, &[("LEASEHOLD_KEY", ADMIN_KEY)]).await?;
        let said = said(&output);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        for word in FOREIGN_WORDS {
            assert!(!said.contains(word), "{arguments:?}: {said}");
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let file = folder.join(name);
    std::fs::write(&file, text)?;
    Ok(file.display().to_string())
}

#[tokio::test]
async fn mistakes_of_a_client_are_told_with_place_value_and_remedy() -> Result<()> {
    let gateway = Gateway::start().await?;
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| write(folder.path(), name, text);
    let list = write("list.json", r#"["demo"]"#)?;
    let typo = write("typo.json", r#"{"namespaces":["demo"],"polices":[]}"#)?;
    let form = write(
        "form.json",
        r#"{"namespaces":["demo"],"policies":[{"policy":"ttl-bounds","version":"1.1.0",
            "config":{"rules":[{"max_ttl_ms":"x"}]}}]}"#,
    )?;
    let nowhere = folder.path().join("nowhere").display().to_string();
    let get = |server| vec!["lock", "get", "demo/a", "--server", server];
    let bind = |file| vec!["policy", "bind", "x", file, "--server", gateway.url()];
    let no_file = vec!["key", "list", "--key", "", "--key-file", &nowhere];
    each_says(&[
        (get("nonsense"), "\"nonsense\" is not the URL"),
        (get("localhost:1"), "expected http://HOST:PORT"),
        (
            get("http://127.0.0.1:1"),
            "cannot connect to http://127.0.0.1:1: nobody listens there",
        ),
        (
            vec!["lock", "get", "demo/a", "--key", "a b"],
            "the key holds characters",
        ),
        (no_file, &nowhere),
        (bind(&list), "list.json: expected an object, got a list"),
        (bind(&typo), "there is no member \"polices\""),
        (bind(&form), "/rules/0/max_ttl_ms: expected a whole number"),
    ])
    .await
}

#[tokio::test]
async fn mistakes_of_a_start_are_told_with_place_value_and_remedy() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| write(folder.path(), name, text);
    let jwks = write("jwks.json", r#"{"keys":3}"#)?;
    let jwt =
        format!("[authentication.jwt]\nissuer = \"i\"\naudience = \"a\"\njwks_file = {jwks:?}\n");
    let jwt = write("jwt.toml", &jwt)?;
    let toml = write("wrong.toml", "[limits]\nrequests_max = \"many\"\n")?;
    let file = write("a-file", "")?;
    let inside = Path::new(&file).join("data").display().to_string();
    let data = folder.path().join("data").display().to_string();
    let nowhere = folder.path().join("nowhere").display().to_string();
    let on = |folder, config| {
        let place = ["serve", "--listen", "127.0.0.1:0", "--data-dir", folder];
        [&place[..], config].concat()
    };
    each_says(&[
        (
            vec!["serve", "--listen", "nonsense"],
            "such as 127.0.0.1:7878",
        ),
        (vec!["serve", "--config", &nowhere], &nowhere),
        (
            vec!["serve", "--config", &toml],
            "limits.requests_max: expected a whole number",
        ),
        (on(&inside, &[]), &inside),
        (
            on(&data, &["--config", &jwt]),
            "jwks.json: is not a JSON Web Key Set",
        ),
    ])
    .await
}
