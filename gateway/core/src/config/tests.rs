use super::*;

const EXAMPLE: &str = include_str!("../../../../config.example.toml");

/// The example with its optional keys switched on: `#key` is one, `# text` is prose.
fn everything_on() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            key.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE
        .lines()
        .map(switch_on)
        .collect::<Vec<_>>()
        .join("\n")
}

fn keys(table: &toml::Table, prefix: &str, into: &mut Vec<String>) {
    for (key, value) in table {
        let path = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => keys(inner, &format!("{path}."), into),
            _ => into.push(path),
        }
    }
}

#[test]
fn the_example_equals_the_defaults() {
    assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
}

#[test]
fn the_example_documents_every_key() {
    let text = everything_on();
    let mut documented = Vec::new();
    keys(&text.parse().unwrap(), "", &mut documented);
    // Every optional key is on, so serializing shows every key that exists.
    let config = Config::parse(&text).unwrap();
    let mut existing = Vec::new();
    keys(&toml::Table::try_from(&config).unwrap(), "", &mut existing);
    documented.sort();
    existing.sort();
    assert_eq!(documented, existing);
    for line in EXAMPLE.lines() {
        assert!(line.len() <= 100, "{line}");
    }
}

#[test]
fn a_flag_service_is_believed_over_tls_and_has_no_secret_in_its_url() {
    let service = |more: &str| {
        let text = format!("[rollouts.flag_service]\n{more}");
        Config::parse(&text).and_then(|config| config.check())
    };
    assert_eq!(service("url = \"https://flags.example/base\""), Ok(()));
    assert_eq!(
        service("url = \"http://127.0.0.1:8016\"\nauth = \"api-key\""),
        Ok(())
    );
    for bad in [
        "",
        "url = \"http://flags.example\"",
        "url = \"flags.example\"",
        "url = \"https://me:secret@flags.example\"",
        "url = \"https://flags.example/?key=secret\"",
        "url = \"https://flags.example/#a\"",
        "url = \"https://flags.example\"\nauth = \"basic\"",
        "url = \"https://flags.example\"\npoll_interval_ms = 499",
        "url = \"https://flags.example\"\ntimeout_ms = 30001",
        "url = \"https://flags.example\"\nstale_after_ms = 9999",
    ] {
        assert!(service(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_wrong_file_is_one_line_that_names_the_key() {
    for (text, names) in [
        ("[listen]\nadress = \"x\"\n", "adress"),
        ("[listen]\naddress = \"nonsense\"\n", "address"),
        ("[listen]\nhosts = [\"a b\"]\n", "listen.hosts"),
        (
            "listen = [\"127.0.0.1:1\"]\n",
            "listen: expected a section, got a list",
        ),
        (
            "[listen]\ntls = [\"a\", \"b\"]\n",
            "listen.tls: expected a section, got a list",
        ),
        ("[limits]\nconnections_max = -1\n", "connections_max"),
        ("[limits]\nconnections_max = 0\n", "limits.connections_max"),
        ("[storage]\nbackend = \"floppy\"\n", "backend"),
        ("[storage]\nbackend = \"postgres\"\n", "storage.postgres"),
        (
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"\"\n",
            "storage.postgres.url",
        ),
        ("[storage]\nbackend = \"etcd\"\n", "storage.etcd"),
        (
            "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = []\n",
            "storage.etcd.endpoints",
        ),
        (
            "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = [\"http://h:1\"]\nuser = \"u\"\n",
            "storage.etcd.user",
        ),
        (
            "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = [\"h:1\"]\n",
            "storage.etcd.endpoints: \"h:1\" is not a URL",
        ),
        (
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"nonsense\"\n",
            "storage.postgres.url: must be postgresql://",
        ),
        (
            "[listen]\naddress = \"nonsense\"\n",
            "listen.address: expected an IP address",
        ),
        ("[stores.home]\nbackend = \"memory\"\n", "stores.home"),
        ("[stores.Big]\nbackend = \"memory\"\n", "stores.Big"),
        ("[stores.eu]\nbackend = \"raft\"\n", "stores.eu.backend"),
        ("[stores.eu]\n", "backend"),
        (
            "[stores.eu]\nbackend = \"postgres\"\n",
            "stores.eu.postgres",
        ),
        ("[audit]\nrenewals = \"never\"\n", "renewals"),
        ("[telemetry]\nlevel = \"a=b=c\"\n", "telemetry.level"),
        ("[policy]\nfuel = 1\n", "policy.fuel"),
        (
            "[authentication]\napi_keys = false\n",
            "authentication.api_keys",
        ),
        ("[authentication.jwt]\nissuer = \"i\"\n", "audience"),
        ("[nonsense]\n", "nonsense"),
        ("this is not toml", "line 1"),
    ] {
        let error = Config::parse(text)
            .and_then(|config| config.check())
            .unwrap_err()
            .to_string();
        assert!(error.contains(names), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{text}: {error}");
    }
}

#[test]
fn a_key_pasted_into_the_file_is_not_shown() {
    let error = Config::parse("[bootstrap]\nadmin_key = \"lh_a_5ec2e7\"\n")
        .unwrap_err()
        .to_string();
    assert!(!error.contains("5ec2e7"), "{error}");
}

#[test]
fn beyond_loopback_needs_tls_or_a_name() {
    let overrides = |address: &str| Overrides {
        listen: Some(address.parse().unwrap()),
        ..Overrides::default()
    };
    let refused = Config::load(None, overrides("0.0.0.0:7878"))
        .unwrap_err()
        .to_string();
    assert!(refused.contains("insecure_without_tls"), "{refused}");
    assert!(Config::load(None, overrides("[::1]:0")).is_ok());
    let mut config = Config::default();
    config.apply(overrides("0.0.0.0:7878"));
    config.listen.insecure_without_tls = true;
    assert_eq!(config.check(), Ok(()));
    assert_eq!(config.listen.unprotected(), [config.listen.address]);
    config.listen.insecure_without_tls = false;
    config.listen.tls = Some(Tls {
        cert: "a".into(),
        key: "b".into(),
    });
    assert_eq!(config.check(), Ok(()));
    assert!(config.listen.unprotected().is_empty());
    config.listen.tls = None;
    config.listen.address = Listen::default().address;
    assert!(config.listen.unprotected().is_empty());
    config.listen.admin_address = Some("0.0.0.0:1".parse().unwrap());
    assert!(config.check().is_err());
}

#[test]
fn tokens_need_public_keys_from_one_trustworthy_place() {
    let jwt = |more: &str| {
        let text = format!("[authentication.jwt]\nissuer = \"i\"\naudience = \"a\"\n{more}");
        Config::parse(&text).and_then(|config| config.check())
    };
    assert_eq!(jwt("jwks_url = \"https://idp.example/keys\""), Ok(()));
    assert_eq!(jwt("jwks_url = \"http://127.0.0.1:1/keys\""), Ok(()));
    assert_eq!(jwt("jwks_file = \"keys.json\""), Ok(()));
    for bad in [
        "",
        "jwks_url = \"http://idp.example/keys\"",
        "jwks_file = \"a\"\njwks_url = \"https://b\"",
        "jwks_file = \"a\"\nalgorithms = []",
        "jwks_file = \"a\"\nalgorithms = [\"HS256\"]",
        "jwks_file = \"a\"\nalgorithms = [\"none\"]",
        "jwks_file = \"a\"\nrefresh_s = 0",
        "jwks_file = \"a\"\nsubject_claim = \"\"",
    ] {
        assert!(jwt(bad).is_err(), "{bad}");
    }
}
