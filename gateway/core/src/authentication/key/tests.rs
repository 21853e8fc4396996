use super::*;

#[test]
fn a_key_is_shown_only_when_asked() {
    let key = NewKey::draw("svc".parse().unwrap(), None, RoleSet::default(), "", "");
    let text = key.reveal();
    let (id, secret) = split(&text).unwrap();
    assert_eq!(id, key.document.id);
    assert!(!format!("{key:?}").contains(secret));
    let stored = serde_json::to_string(&key.document).unwrap();
    assert!(!stored.contains(secret), "{stored}");
}

#[test]
fn keys_that_are_none_are_refused() {
    let secret = "0".repeat(64);
    assert!(split(&format!("lh_bootstrap_{secret}")).is_some());
    for bad in [
        String::new(),
        "lh_".to_owned(),
        "lh_x_y".to_owned(),
        format!("lh__{secret}"),
        format!("lh_X_{secret}"),
        format!("lh_x_{secret}0"),
        format!("lh_x_{}g", &secret[1..]),
        format!("lx_x_{secret}"),
        format!("lh_{}_{secret}", "x".repeat(33)),
    ] {
        assert_eq!(split(&bad), None, "{bad}");
        let given = NewKey::given(&SecretString::from(bad.as_str()), "admin", "");
        assert_eq!(given.unwrap_err(), InvalidKey);
    }
    let given = NewKey::given(
        &SecretString::from(format!(" lh_a_{secret}\n")),
        "admin",
        "",
    )
    .unwrap();
    assert_eq!(given.reveal(), format!("lh_a_{secret}"));
}
