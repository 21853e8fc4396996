//! A watch of a gateway that cuts it off.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;
use crate::Key;

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers each connection with the next of `streams`, and closes it. Tells which `last-event-id`
/// each one came with.
async fn gateway(streams: Vec<&'static str>) -> (Client, Arc<Mutex<Vec<Option<String>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::<Mutex<Vec<_>>>::default();
    let log = came.clone();
    tokio::spawn(async move {
        for body in streams {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                assert!(stream.read_buf(&mut head).await.unwrap() > 0, "cut off");
            }
            let head = String::from_utf8(head).unwrap();
            let id = head
                .lines()
                .find_map(|line| line.strip_prefix("last-event-id: "));
            log.lock().unwrap().push(id.map(str::to_owned));
            let answer = if body.starts_with('{') {
                format!("HTTP/1.1 403 x\r\nconnection: close\r\n\r\n{body}")
            } else {
                format!("HTTP/1.1 200 x\r\nconnection: close\r\n\r\n{body}")
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (Client::new(&url, Key::default()).unwrap(), came)
}

/// Everything that is told until the watch ends, in short.
async fn told(client: &Client) -> Vec<String> {
    let mut watch = client.watch("/watch").await.unwrap();
    let mut told = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, watch.next()).await.unwrap() {
            Ok(News::Event(event)) => told.push(event.data),
            Ok(News::Missed(reason)) => told.push(format!("missed: {reason}")),
            Ok(News::Interrupted(_)) => told.push("interrupted".to_owned()),
            Err(error) => {
                assert!(!error.is_retryable(), "{error}");
                return told;
            }
        }
    }
}

const REFUSED: &str = r#"{"code": "denied", "detail": "no", "retryable": false, "effect": "none"}"#;

#[tokio::test]
async fn it_goes_on_where_it_was_and_tells_each_event_once() {
    let (client, came) = gateway(vec![
        "id: 4\n\n",
        "id: 4\n\ndata: a\n\ndata: b\nid: 5\n\ndata: c\n\ndata: d\n\n",
        "id: 5\n\ndata: c\n\n",
        "id: 5\n\ndata: c\n\ndata: d\n\ndata: e\nid: 6\n\n",
        REFUSED,
    ])
    .await;
    let cut = "interrupted";
    let expected = [cut, "a", "b", "c", "d", cut, cut, "e", cut];
    assert_eq!(told(&client).await, expected);
    let came = came.lock().unwrap();
    let came: Vec<_> = came.iter().map(Option::as_deref).collect();
    assert_eq!(came, [None, Some("4"), Some("5"), Some("5"), Some("6")]);
}

#[tokio::test]
async fn what_was_trimmed_is_missed_and_what_is_unavailable_is_not() {
    let (client, came) = gateway(vec![
        "id: 4\n\nevent: resync\ndata: {\"reason\":\"unavailable\"}\n\n",
        "event: resync\ndata: {\"reason\":\"trimmed\"}\n\n",
        "id: 9\n\ndata: z\nid: 10\n\n",
        REFUSED,
    ])
    .await;
    let expected = ["interrupted", "missed: trimmed", "z", "interrupted"];
    assert_eq!(told(&client).await, expected);
    let came = came.lock().unwrap();
    let came: Vec<_> = came.iter().map(Option::as_deref).collect();
    assert_eq!(came, [None, Some("4"), None, Some("10")]);
}

#[tokio::test]
async fn a_watch_that_missed_events_goes_on_where_the_gateway_says() {
    let (client, came) = gateway(vec![
        "id: 4-a\n\n",
        "id: 9-b\nevent: resync\ndata: {\"reason\":\"foreign\"}\n\ndata: y\n\ndata: z\nid: 10-b\n\n",
        "id: 10-b\n\nid: 70-b\nevent: resync\ndata: {\"reason\":\"trimmed\"}\n\ndata: q\n\n",
        "id: 70-b\n\ndata: q\n\ndata: r\nid: 71-b\n\n",
        REFUSED,
    ])
    .await;
    let cut = "interrupted";
    let expected = [
        cut,
        "missed: foreign",
        "y",
        "z",
        cut,
        "missed: trimmed",
        "q",
        cut,
        "r",
        cut,
    ];
    assert_eq!(told(&client).await, expected);
    let came = came.lock().unwrap();
    let came: Vec<_> = came.iter().map(Option::as_deref).collect();
    assert_eq!(
        came,
        [None, Some("4-a"), Some("10-b"), Some("70-b"), Some("71-b")]
    );
}
