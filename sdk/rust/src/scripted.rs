//! A gateway that answers by a script, loses answers, and hangs; for tests.

use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::Client;
use crate::Key;

/// How the gateway answers one request.
pub(crate) enum Reply {
    Answer(u16, Value),
    /// Closes the connection unanswered.
    Lose,
    /// Never answers.
    Hang,
}

type Script = Box<dyn FnMut(&str, &Value) -> Reply + Send>;

/// What it was asked: the verb and the body.
pub(crate) type Asked = Arc<Mutex<Vec<(String, Value)>>>;

pub(crate) async fn gateway(
    script: impl FnMut(&str, &Value) -> Reply + Send + 'static,
) -> (Client, Asked) {
    let (url, asked) = listen(script).await;
    (Client::new(&url, Key::default()).unwrap(), asked)
}

/// Its URL, and what it was asked.
pub(crate) async fn listen(
    script: impl FnMut(&str, &Value) -> Reply + Send + 'static,
) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let (script, log): (Arc<Mutex<Script>>, _) =
        (Arc::new(Mutex::new(Box::new(script))), asked.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, script.clone(), log.clone()));
        }
    });
    (url, asked)
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, log: Asked) {
    let (verb, body) = read(&mut stream).await;
    log.lock().unwrap().push((verb.clone(), body.clone()));
    let reply = (script.lock().unwrap())(&verb, &body);
    match reply {
        Reply::Lose => {}
        Reply::Hang => std::future::pending().await,
        Reply::Answer(status, body) => {
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// The verb after the colon, and the body.
async fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let path = head.split(' ').nth(1).unwrap();
                let verb = path.rsplit(':').next().unwrap().to_owned();
                return (verb, serde_json::from_str(body).unwrap_or_default());
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "cut off");
    }
}

pub(crate) fn grant(ttl_ms: u64, more: &Value) -> Reply {
    let mut grant = json!({ "lease_id": "secret", "lease": "public", "fencing_token": 1_024,
        "ttl_ms": ttl_ms, "remaining_ms": ttl_ms, "renew_after_ms": ttl_ms / 4,
        "mode": "exclusive", "state": "active", "repeated": false, "waited": false,
        "request_id": "r" });
    let fields = more.as_object().unwrap().clone();
    grant.as_object_mut().unwrap().extend(fields);
    Reply::Answer(200, grant)
}

pub(crate) fn problem(status: u16, code: &str, retryable: bool) -> Reply {
    let problem = json!({ "type": code, "title": code, "status": status, "detail": "by the script",
        "code": code, "retryable": retryable, "effect": "none", "request_id": "r" });
    Reply::Answer(status, problem)
}

pub(crate) fn verbs(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|(verb, _)| verb.clone()).collect()
}
