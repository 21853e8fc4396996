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

fn drawn() -> NewKey {
    let roles = RoleSet::default().with(Role::Administrator);
    let team = Some("pay".parse().unwrap());
    NewKey::draw("svc".parse().unwrap(), team, roles, "nightly", "")
}

#[test]
fn a_key_expires_at_its_millisecond_and_one_without_never_does() {
    let now = WallMillis(1_000);
    let never = drawn().document;
    assert_eq!(never.refusal(WallMillis(u64::MAX)), None);
    let document = drawn().expiring(Some(50), now).document;
    assert!(document.is_administrators(WallMillis(1_049)));
    assert!(!document.is_administrators(WallMillis(1_050)));
    let far = drawn().expiring(Some(u64::MAX), now).document;
    assert_eq!(far.expires, Some(WallMillis(u64::MAX)), "no overflow");
}

#[test]
fn a_document_of_an_older_gateway_never_expires() {
    let old = r#"{"id":"a","digest":"","subject":"svc","revoked":null,"later":1}"#;
    let document: KeyDocument = serde_json::from_str(old).unwrap();
    assert_eq!((document.expires, document.lifetime_ms), (None, None));
    assert_eq!(document.created_by, None);
    assert_eq!(document.refusal(WallMillis(u64::MAX)), None);
}

#[test]
fn a_key_of_a_reserved_subject_is_not_in_force() {
    let mut document = drawn().document;
    document.subject = "leasehold:move".parse().unwrap();
    assert!(!document.is_administrators(WallMillis(0)));
}

#[test]
fn a_successor_has_the_rights_and_the_lifetime_but_not_the_secret() {
    let (made, now) = (WallMillis(1_000), WallMillis(9_000));
    let mut old = drawn().expiring(Some(10_000), made).document;
    old.roles.push("of-a-later-version".to_owned());
    let admin: Subject = "admin".parse().unwrap();
    let new = old.draw_successor(now, &admin).document;
    assert_ne!((&new.id, &new.digest), (&old.id, &old.digest));
    assert_eq!((&new.subject, &new.team), (&old.subject, &old.team));
    let rights = (&new.roles, &new.description);
    assert_eq!(rights, (&old.roles, &old.description));
    assert_eq!(new.expires, Some(WallMillis(19_000)));
    assert_eq!(new.created_by, Some(admin.clone()));

    // Rotated once more during its overlap: the lifetime is still the one it was made with.
    let ending = old.expiring_by(WallMillis(9_500));
    assert_eq!(ending.expires, Some(WallMillis(9_500)));
    let again = ending.draw_successor(now, &admin).document;
    assert_eq!(again.expires, Some(WallMillis(19_000)));
    let later = ending.expiring_by(WallMillis(99_000));
    assert_eq!(later.expires, Some(WallMillis(9_500)), "never later");
    let endless = drawn().document;
    assert_eq!(endless.draw_successor(now, &admin).document.expires, None);
}
