//! Locks of namespace `demo`.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use serde_json::Value;
use serde_json::json;

use crate::Answer;
use crate::Api;

/// How long a lock may take to come into the state that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a store may be in trouble before the test fails.
const OUTAGE_MAX: Duration = Duration::from_secs(90);

/// Asks one gateway after the other, with the same body, until one says yes: what a client does
/// while a gateway or a store is in trouble. Answers what it said.
///
/// # Errors
/// One refuses for good, or none says yes in time.
pub async fn persist(apis: &[Api], lock: &str, verb: &str, body: &Value) -> Result<Value> {
    let asking = async {
        loop {
            for api in apis {
                match api.verb(lock, verb, body).await {
                    Ok(answer) if answer.status < 300 => return Ok(answer.body),
                    // Only what may be retried is.
                    Ok(answer) => ensure!(answer.body["retryable"] == true, "{answer:?}"),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asked = tokio::time::timeout(OUTAGE_MAX, asking).await;
    asked.with_context(|| format!("{verb} {lock}: nobody says yes"))?
}

impl Answer {
    /// A text of the body, such as a lease's id.
    ///
    /// # Errors
    /// It is not there.
    pub fn text_of(&self, field: &str) -> Result<&str> {
        let text = self.body[field].as_str();
        text.with_context(|| format!("no {field} in {self:?}"))
    }

    /// The fencing token.
    ///
    /// # Errors
    /// It is not there.
    pub fn token(&self) -> Result<u64> {
        let token = self.body["fencing_token"].as_u64();
        token.with_context(|| format!("no fencing_token in {self:?}"))
    }
}

impl Api {
    /// Does something with a lock: `POST …/locks/{lock}:{verb}`.
    ///
    /// # Errors
    /// No answer came.
    pub async fn verb(&self, lock: &str, verb: &str, body: &Value) -> Result<Answer> {
        let path = format!("/v1/namespaces/demo/locks/{lock}:{verb}");
        self.post(&path, body).await
    }

    /// Takes a lock, without waiting.
    ///
    /// # Errors
    /// No answer came.
    pub async fn acquire(&self, lock: &str, ttl_ms: u64) -> Result<Answer> {
        self.verb(lock, "acquire", &json!({ "ttl_ms": ttl_ms }))
            .await
    }

    /// Does something with a lease.
    ///
    /// # Errors
    /// No answer came.
    pub async fn with_lease(&self, lock: &str, verb: &str, lease_id: &str) -> Result<Answer> {
        self.verb(lock, verb, &json!({ "lease_id": lease_id }))
            .await
    }

    /// Shows a lock.
    ///
    /// # Errors
    /// No answer came.
    pub async fn show(&self, lock: &str) -> Result<Answer> {
        self.get(&format!("/v1/namespaces/demo/locks/{lock}")).await
    }

    /// Waits until a lock is as asked, and answers its view.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn until(&self, lock: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let come = async {
            loop {
                let view = self.show(lock).await?.body;
                if is(&view) {
                    return anyhow::Ok(view);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, come)
            .await
            .with_context(|| format!("{lock} never came to what was expected"))?
    }

    /// Waits until `count` requests stand in a lock's queue.
    ///
    /// # Errors
    /// They never do.
    pub async fn queue_of(&self, lock: &str, count: usize) -> Result<()> {
        let long = |view: &Value| view["queue"].as_array().map(Vec::len) == Some(count);
        self.until(lock, long).await.map(drop)
    }
}
