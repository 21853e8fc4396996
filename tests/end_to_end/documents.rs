//! Bodies are objects: a list of an object's members in order is not one, at any depth, and no
//! member is passed over.

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

/// The document's schemas by name.
struct Schemas(Value);

impl Schemas {
    /// Follows references and combinations to the schema that has members.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return self.resolve(&self.0[name]);
        }
        for combined in ["allOf", "oneOf", "anyOf"] {
            let parts = schema[combined].as_array().into_iter().flatten();
            if schema["properties"].is_null()
                && let Some(part) = parts.map(|part| self.resolve(part)).find(|part| {
                    part["properties"].is_object() && part["additionalProperties"] == false
                })
            {
                return part;
            }
        }
        schema
    }

    /// A value that the schema allows.
    fn example(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        let kind = match &schema["type"] {
            Value::Array(kinds) => &kinds[0],
            kind => kind,
        };
        match kind.as_str() {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten();
                let member = |name: &Value| {
                    let name = name.as_str().unwrap_or_default();
                    (name.to_owned(), self.example(&schema["properties"][name]))
                };
                Value::Object(required.map(member).collect())
            }
            Some("array") => json!([self.example(&schema["items"])]),
            Some("integer") => schema["minimum"].clone(),
            Some("boolean") => json!(false),
            _ => match schema["pattern"].as_str() {
                Some(pattern) if pattern.contains("{32}") => json!("0".repeat(32)),
                _ => json!("a"),
            },
        }
    }

    /// Every place in `body` where an object stands, as a path of members and entries.
    fn objects(&self, schema: &Value, path: &str, into: &mut Vec<(String, Value)>) {
        let schema = self.resolve(schema);
        let members = schema["properties"].as_object();
        if schema["additionalProperties"] == false {
            into.push((path.to_owned(), schema.clone()));
        }
        for (name, member) in members.into_iter().flatten() {
            let member = self.resolve(member);
            let here = format!("{path}/{name}");
            if member["properties"].is_object() {
                self.objects(member, &here, into);
            }
            if self.resolve(&member["items"])["properties"].is_object() {
                self.objects(&member["items"], &format!("{here}/0"), into);
            }
        }
    }
}

/// Puts `value` at `pointer`, making what stands above it.
fn put(body: &mut Value, pointer: &str, value: Value) {
    let mut here = body;
    for step in pointer.split('/').skip(1) {
        here = match step.parse::<usize>() {
            Ok(_) => {
                if !here.is_array() {
                    *here = json!([null]);
                }
                &mut here[0]
            }
            Err(_) => &mut here[step],
        };
    }
    *here = value;
}

async fn send(api: &Api, method: &str, path: &str, body: &Value) -> Result<(u16, String)> {
    let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
    let answer = api.send(api.request(method, path).json(body)).await?;
    Ok((answer.status, answer.text))
}

#[tokio::test]
async fn every_body_is_an_object_of_known_members() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let document = api.get("/openapi.json").await?.body;
    let schemas = Schemas(document["components"]["schemas"].clone());
    let mut tried = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for (method, operation) in methods.as_object().context("methods")? {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            let url = path.replace("{ns}", "demo").replace(['{', '}'], "");
            let mut objects = Vec::new();
            schemas.objects(schema, "", &mut objects);
            for (pointer, of) in objects {
                let whole = schemas.example(schema);
                let there = schemas.example(&of);
                let values = there.as_object().context("an object")?.values();
                let as_list: Vec<_> = values.cloned().collect();
                let mut body = whole.clone();
                put(&mut body, &pointer, Value::Array(as_list));
                let (status, said) = send(&api, method, &url, &body).await?;
                assert_eq!(status, 422, "{method} {url} {body}: {said}");
                assert!(said.contains("expected an object"), "{body}: {said}");

                let mut there = there;
                there["tll_ms"] = json!(1);
                let mut body = whole;
                put(&mut body, &pointer, there);
                let (status, said) = send(&api, method, &url, &body).await?;
                assert_eq!(status, 422, "{method} {url} {body}: {said}");
                assert!(said.contains("tll_ms"), "{body}: {said}");
                tried.insert(format!("{method} {path} {pointer}"), ());
            }
        }
    }
    // Bodies, and the objects inside of them.
    assert!(tried.len() >= 20, "{tried:?}");
    for nested in ["/lease", "/leases/0", "/policies/0"] {
        assert!(
            tried.keys().any(|key| key.ends_with(nested)),
            "{nested}: {tried:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn configurations_of_stock_policies_have_no_unknown_members() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    for (policy, config) in [
        ("ttl-bounds", json!({ "rules": [], "x": 1 })),
        (
            "ttl-bounds",
            json!({ "rules": [{ "max_ttl_ms": 1_000, "max_tll_ms": 1 }] }),
        ),
        (
            "ownership",
            json!({ "unclaimed": "allow", "claims": [], "x": 1 }),
        ),
        ("freeze-window", json!({ "windows": [], "x": 1 })),
        (
            "freeze-window",
            json!({ "windows": [{
                "name": "a", "from": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z",
                "message": "m", "x": 1,
            }] }),
        ),
        (
            "separation-of-duties",
            json!({ "revoke": { "require_reason": true, "x": 1 } }),
        ),
        ("quota", json!({ "x": 1 })),
    ] {
        let version = if policy == "quota" { "2.0.1" } else { "1.1.0" };
        let binding = json!({
            "name": "strict", "namespaces": ["demo"],
            "policies": [{ "policy": policy, "version": version, "config": config }],
        });
        let answer = api.post("/v1/bindings", &binding).await?;
        assert_eq!(answer.status, 422, "{binding}: {answer:?}");
        let detail = answer.body["detail"].as_str().context("detail")?;
        assert!(
            detail.contains("there is no member \"x\"") || detail.contains("tll"),
            "{detail}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn messages_name_the_place_and_the_value_in_plain_words() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let acquire = "/v1/namespaces/demo/locks/a:acquire";
    let long = "x".repeat(600);
    for (path, body, said) in [
        (
            acquire,
            json!({ "ttl_ms": "10" }),
            "ttl_ms: expected a whole number",
        ),
        (acquire, json!({}), "ttl_ms: is missing"),
        (acquire, json!([1]), "expected an object, got a list"),
        (
            acquire,
            json!({ "ttl_ms": 10_000, "mode": "both" }),
            "\"both\" is not one of exclusive, shared",
        ),
        (
            acquire,
            json!({ "ttl_ms": 10_000, "request_id": long }),
            "1 to 128 bytes, not 600",
        ),
        (
            "/v1/namespaces/demo/locks:acquire",
            json!({ "ttl_ms": 10_000, "locks": [long] }),
            "1 to 512 bytes, not 600",
        ),
        (
            "/v1/keys",
            json!({ "subject": long }),
            "1 to 256 bytes, not 600",
        ),
        (
            "/v1/namespaces",
            json!({ "name": long }),
            "1 to 63 bytes, not 600",
        ),
    ] {
        let answer = api.post(path, &body).await?;
        let detail = answer.body["detail"].as_str().context("detail")?;
        assert!(detail.contains(said), "{body}: {detail}");
        for word in ["u64", "struct ", "at line", "sequence", "map,"] {
            assert!(!detail.contains(word), "{body}: {detail}");
        }
    }
    Ok(())
}

/// A parameter that an operation does not know changes nothing, so it is refused, also where there
/// are none; in the words of the API.
#[tokio::test]
async fn no_parameter_of_a_query_is_passed_over() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let document = api.get("/openapi.json").await?.body;
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for method in methods.as_object().context("methods")?.keys() {
            if !path.starts_with("/v1/") {
                continue;
            }
            let url = path.replace("{ns}", "demo").replace(['{', '}'], "");
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            let asked = api.request(method.clone(), &format!("{url}?colour=red"));
            let answer = api.send(asked).await?;
            assert_eq!(answer.status, 422, "{method} {url}: {answer:?}");
            let detail = answer.body["detail"].as_str().context("detail")?;
            let begins = "there is no parameter \"colour\"";
            assert!(detail.starts_with(begins), "{method} {url}: {detail}");
            tried += 1;
        }
    }
    assert!(tried >= 40, "{tried}");
    for (url, expected) in [
        (
            "/v1/audit/events?after=",
            "after: expected a whole number from 0 to 18446744073709551615, got \"\"",
        ),
        (
            "/v1/audit/events?after=-1",
            "after: expected a whole number from 0 to 18446744073709551615, got \"-1\"",
        ),
        (
            "/v1/incidents?open=maybe",
            "open: expected true or false, got \"maybe\"",
        ),
        ("/v1/audit/events?after=1&after=2", "given twice: \"after\""),
        ("/v1/audit/holders", "lock: is missing"),
        (
            "/v1/audit/holders?lock=%FF",
            "the query is not percent-encoded UTF-8",
        ),
        (
            "/v1/namespaces/%FF",
            "the path is not percent-encoded UTF-8",
        ),
    ] {
        let answer = api.get(url).await?;
        assert_eq!(answer.status, 422, "{url}: {answer:?}");
        assert_eq!(answer.body["detail"], json!(expected), "{url}");
    }
    Ok(())
}
