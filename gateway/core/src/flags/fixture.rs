//! A real HTTP server on this machine that answers what a test has told it to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::config::FlagService;
use crate::config::FlagServiceAuth;

type Shared<T> = Arc<Mutex<T>>;

/// A server, its answers in order, and the requests that it got.
pub(crate) struct Server {
    url: String,
    answers: Shared<VecDeque<String>>,
    requests: Shared<Vec<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/", socket.local_addr().unwrap());
        let (answers, requests) = (
            Shared::<VecDeque<String>>::default(),
            Shared::<Vec<String>>::default(),
        );
        let (said, heard) = (answers.clone(), requests.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                let mut request = Vec::new();
                // The body is JSON, and its only closing pair of braces ends it.
                while !request.ends_with(b"}}") {
                    let mut chunk = [0; 1_024];
                    match stream.read(&mut chunk).await {
                        Ok(read @ 1..) => request.extend_from_slice(&chunk[..read]),
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                heard.lock().unwrap().push(text);
                let answer = said.lock().unwrap().pop_front().unwrap_or_default();
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            url,
            answers,
            requests,
            task,
        }
    }

    /// The next answer.
    pub(crate) fn answers(&self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.answers.lock().unwrap().push_back(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        ));
    }

    /// The next answer has this value for flag `a`.
    pub(crate) fn flag(&self, value: &str) {
        let body = format!("{{\"flags\":[{{\"key\":\"a\",\"value\":{value},\"variant\":\"v\"}}]}}");
        self.answers("200 OK", "etag: \"one\"\r\n", &body);
    }

    /// Ends it, as if its machine had gone.
    pub(crate) async fn stop(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The settings for a server.
pub(crate) fn settings(server: &Server) -> FlagService {
    FlagService {
        url: server.url.clone(),
        key_file: None,
        auth: FlagServiceAuth::Bearer,
        poll_interval_ms: 5_000,
        timeout_ms: 2_000,
        stale_after_ms: 60_000,
    }
}
