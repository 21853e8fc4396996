//! A watch (server-sent events), as it comes.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use reqwest::Method;
use serde_json::Value;

use crate::Api;

/// How long the next event may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open watch.
#[derive(Debug)]
pub struct Watch {
    response: reqwest::Response,
    rest: String,
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its `id`, if it has one.
    pub id: Option<String>,
    /// Its `event`; empty if it has none.
    pub event: String,
    /// Its `data` as JSON; null if it has none.
    pub data: Value,
}

impl Api {
    /// Follows what happens at a path, from after `last_event_id` on, or from now on.
    ///
    /// # Errors
    /// The gateway refuses.
    pub async fn watch(&self, path: &str, last_event_id: Option<&str>) -> Result<Watch> {
        let mut request = self.request(Method::GET, path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?;
        ensure!(response.status() == 200, "{response:?}");
        Ok(Watch {
            response,
            rest: String::new(),
        })
    }
}

impl Watch {
    /// The next event; none at the end of the watch, also if it was cut off.
    ///
    /// # Errors
    /// Nothing comes for a long time, or what comes is no event.
    pub async fn next(&mut self) -> Result<Option<Seen>> {
        loop {
            if let Some((frame, rest)) = self.rest.split_once("\n\n") {
                let seen = parse(frame)?;
                self.rest = rest.to_owned();
                match seen {
                    Some(seen) => return Ok(Some(seen)),
                    None => continue,
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            match chunk.context("nothing comes")? {
                Ok(Some(chunk)) => self.rest.push_str(std::str::from_utf8(&chunk)?),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }
}

/// A frame; none if it is only a comment, which says that the watch lives.
fn parse(frame: &str) -> Result<Option<Seen>> {
    let mut seen = Seen {
        id: None,
        event: String::new(),
        data: Value::Null,
    };
    let mut empty = true;
    for line in frame.lines() {
        match line.split_once(':') {
            Some(("", _)) => continue,
            Some(("id", id)) => seen.id = Some(id.trim().to_owned()),
            Some(("event", event)) => event.trim().clone_into(&mut seen.event),
            Some(("data", data)) => seen.data = serde_json::from_str(data)?,
            _ => anyhow::bail!("no line of an event: {line:?}"),
        }
        empty = false;
    }
    Ok((!empty).then_some(seen))
}
