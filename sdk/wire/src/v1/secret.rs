//! `Debug` for bodies that hold a secret: what it prints may end in a log.

/// Implements `Debug` with these fields only; the secret is not among them.
macro_rules! debug_without_secret {
    ($type:ident: $($shown:ident),+ $(,)?) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($shown), &self.$shown))+
                    .finish_non_exhaustive()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::v1::keys::CreatedKey;
    use crate::v1::locks;

    #[test]
    fn no_body_prints_its_secret() {
        let secret = "5ec4e7";
        let lease = serde_json::json!({ "lease_id": secret, "lock": "l", "to": "bob" });
        let grant = serde_json::json!({
            "lease_id": secret, "lease": "public", "fencing_token": 1, "ttl_ms": 1,
            "remaining_ms": 1, "renew_after_ms": 1, "mode": "exclusive", "state": "active",
            "repeated": false, "waited": false, "request_id": "r",
        });
        let key = serde_json::json!({
            "key": secret, "id": "i", "subject": "ann", "roles": [], "description": "",
            "created_at": "",
        });
        let only = |names: &[&str]| {
            let fields = names
                .iter()
                .map(|name| ((*name).to_owned(), lease[*name].clone()));
            serde_json::Value::Object(fields.collect())
        };
        let renewals = serde_json::json!({ "leases": [only(&["lock", "lease_id"])] });
        fn shown<T: std::fmt::Debug + serde::de::DeserializeOwned>(
            body: serde_json::Value,
        ) -> String {
            format!("{:?}", serde_json::from_value::<T>(body).unwrap())
        }
        for shown in [
            shown::<locks::Grant>(grant.clone()),
            shown::<locks::LockGrant>(with_lock(grant)),
            shown::<locks::RenewRequest>(only(&["lease_id"])),
            shown::<locks::ReleaseRequest>(only(&["lease_id"])),
            shown::<locks::TransferRequest>(only(&["lease_id", "to"])),
            shown::<locks::RenewManyRequest>(renewals),
            shown::<CreatedKey>(key),
        ] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    /// A grant of a batch names its lock.
    fn with_lock(grant: serde_json::Value) -> serde_json::Value {
        let mut flat = grant.clone();
        flat["lock"] = "l".into();
        flat["grant"] = grant;
        flat
    }
}
