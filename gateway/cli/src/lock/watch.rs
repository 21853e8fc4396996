//! `leasehold lock watch`: one line per event, without end.

use leasehold_client::Client;
use leasehold_client::News;
use leasehold_client::ServerEvent;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::watch::WatchEvent;
use serde_json::Value;
use serde_json::json;

use crate::exit::Failed;
use crate::output::print;
use crate::output::tell;

/// Prints events until the reader leaves, the person stops it, or the gateway refuses to go on.
/// Events go to standard output; what happens to the watch itself, to standard error.
pub(super) async fn follow(client: &Client, lock: &str, json: bool) -> Result<u8, Failed> {
    let path = match lock.split_once('/') {
        Some((namespace, name)) => paths::lock(namespace, name, Some("watch")),
        None => paths::locks(lock, Some("watch")),
    };
    let mut watch = client.watch(&path).await?;
    let mut interrupted = None;
    loop {
        let line = match watch.next().await? {
            News::Event(event) => {
                interrupted = None;
                line_of(&event, json)
            }
            News::Missed(reason) => missed(&reason, json),
            News::Interrupted(error) => {
                // An outage is told once, not at each attempt.
                let why = error.to_string();
                if interrupted.as_ref() != Some(&why) {
                    tell(&format!(
                        "the watch is interrupted, and goes on by itself: {why}"
                    ));
                    interrupted = Some(why);
                }
                continue;
            }
        };
        if !print(&format!("{line}\n"))? {
            return Ok(0);
        }
    }
}

/// An event in one line. What this program cannot read is shown as it came.
fn line_of(event: &ServerEvent, json: bool) -> String {
    let value: Option<Value> = serde_json::from_str(&event.data).ok();
    if json {
        // Written anew, so that it is one line whatever came.
        return value.unwrap_or_else(|| json!(event.data)).to_string();
    }
    match value.and_then(|value| serde_json::from_value(value).ok()) {
        Some(event) => told(&event),
        None => format!("{} {}", event.name, event.data.replace('\n', " ")),
    }
}

fn told(event: &WatchEvent) -> String {
    let WatchEvent {
        time,
        namespace,
        lock,
        transition,
        ..
    } = event;
    let mut line = format!("{time} {namespace}/{lock} {transition}");
    if let Some(subject) = &event.subject {
        line += &format!(" {subject}");
    }
    if let Some(team) = &event.team {
        line += &format!(" of {team}");
    }
    if let Some(token) = event.fencing_token {
        line += &format!(", token {token}");
    }
    if let Some(remaining_ms) = event.remaining_ms {
        line += &format!(", for {remaining_ms} ms");
    }
    line
}

fn missed(reason: &str, json: bool) -> String {
    if json {
        json!({ "transition": "resync", "reason": reason }).to_string()
    } else {
        format!("events were missed ({reason}): look at the locks again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str) -> ServerEvent {
        ServerEvent {
            id: None,
            name: "granted".to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn an_event_is_one_line() {
        let granted = event(
            r#"{"cursor": 7, "time": "2026-11-23T14:03:00Z", "namespace": "demo", "lock": "a/b",
                "transition": "granted", "subject": "svc", "team": "core", "fencing_token": 9}"#,
        );
        let people = "2026-11-23T14:03:00Z demo/a/b granted svc of core, token 9";
        assert_eq!(line_of(&granted, false), people);
        let json = line_of(&granted, true);
        assert_eq!(json.lines().count(), 1);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["fencing_token"], 9);
        assert_eq!(line_of(&event("of a\nnewer"), false), "granted of a newer");
        assert_eq!(line_of(&event("of a\nnewer"), true), r#""of a\nnewer""#);
    }
}
