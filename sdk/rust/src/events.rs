//! Server-Sent Events: a watch, event by event.

use std::time::Duration;

use crate::Error;
use crate::answer;

/// The gateway says every 15 seconds that a watch lives; after a longer silence it does not.
const SILENCE_LONGEST: Duration = Duration::from_secs(45);

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerEvent {
    /// Its cursor: give it to [`Client::events`](crate::Client::events) to go on after it. Absent
    /// on all but the last of the events that one write made.
    pub id: Option<String>,
    /// Its name, such as `granted`.
    pub name: String,
    /// Its body.
    pub data: String,
}

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    decoder: Decoder,
}

impl EventStream {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            response,
            decoder: Decoder::default(),
        }
    }

    /// The last id that was seen: of an event, or of the place where the stream began.
    #[must_use]
    pub fn last_id(&self) -> Option<&str> {
        self.decoder.last_id.as_deref()
    }

    /// The next event, or nothing if the gateway has ended the stream.
    ///
    /// # Errors
    /// The connection broke, or was silent for too long. Follow again after the last id.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, Error> {
        loop {
            if let Some(event) = self.decoder.next() {
                return Ok(Some(event));
            }
            let chunk = tokio::time::timeout(SILENCE_LONGEST, self.response.chunk());
            match chunk.await {
                Ok(Ok(Some(bytes))) => self.decoder.feed(&bytes),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(answer::lost(&error)),
                Err(_) => {
                    return Err(Error::Transport {
                        message: "the watch has fallen silent".to_owned(),
                        may_have_taken_effect: false,
                    });
                }
            }
        }
    }
}

/// Bytes to events. Comments, which keep connections alive, are left out.
#[derive(Debug, Default)]
struct Decoder {
    bytes: Vec<u8>,
    event: ServerEvent,
    last_id: Option<String>,
}

impl Decoder {
    fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<ServerEvent> {
        let mut read = 0;
        let mut complete = None;
        while let Some(length) = self.bytes[read..].iter().position(|byte| *byte == b'\n') {
            let line = &self.bytes[read..read + length];
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            read += length + 1;
            if !line.is_empty() {
                self.event.add(&line);
                continue;
            }
            let event = std::mem::take(&mut self.event);
            if event.id.is_some() {
                self.last_id.clone_from(&event.id);
            }
            if !event.data.is_empty() {
                complete = Some(event);
                break;
            }
        }
        self.bytes.drain(..read);
        complete
    }
}

impl ServerEvent {
    fn add(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.name),
            "data" if self.data.is_empty() => value.clone_into(&mut self.data),
            "data" => self.data = format!("{}\n{value}", self.data),
            // Comments, and fields that are not ours.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text = "id: 3\n\n: alive\n\nevent: granted\ndata: {\"a\":1}\n\nid: 7\r\nevent:released\r\n\
                    data: {}\r\ndata: x\r\n\r\nevent: unfinished\n";
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            let mut ids = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                decoder.feed(chunk);
                while let Some(event) = decoder.next() {
                    ids.push(decoder.last_id.clone().unwrap());
                    events.push(event);
                }
            }
            assert_eq!(ids, ["3", "7"], "chunks of {size}");
            let granted = ServerEvent {
                id: None,
                name: "granted".to_owned(),
                data: "{\"a\":1}".to_owned(),
            };
            let released = ServerEvent {
                id: Some("7".to_owned()),
                name: "released".to_owned(),
                data: "{}\nx".to_owned(),
            };
            assert_eq!(events, [granted, released], "chunks of {size}");
        }
    }
}
