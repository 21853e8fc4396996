//! A watch that goes on by itself: over broken connections and restarts, each event once.

use serde_json::Value;

use crate::Client;
use crate::Error;
use crate::EventStream;
use crate::ServerEvent;
use crate::backoff::Backoff;

/// What a watch tells.
#[derive(Debug)]
pub enum News {
    /// A lock changed.
    Event(ServerEvent),
    /// Events were missed, and why: read the locks again. The watch goes on already, so what comes
    /// after that reading is told.
    Missed(String),
    /// The watch is interrupted, and why. The next call goes on where it was.
    Interrupted(Error),
}

/// A watch that goes on by itself.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    path: String,
    stream: Option<EventStream>,
    place: Place,
    /// Why events were missed, until it is told.
    missed: Option<String>,
    backoff: Backoff,
}

/// Where a watch is. Of the events that one write made only the last has an id, so some may have
/// been told since the id after which it goes on; they come again, and are passed over.
#[derive(Debug, Default)]
struct Place {
    after: Option<String>,
    told_since: usize,
    passed_over: usize,
}

impl Place {
    /// Whether an event is new.
    fn is_new(&mut self, event: &ServerEvent) -> bool {
        if event.id.is_some() {
            *self = Self {
                after: event.id.clone(),
                ..Self::default()
            };
            return true;
        }
        if self.passed_over < self.told_since {
            self.passed_over += 1;
            return false;
        }
        self.told_since += 1;
        self.passed_over = self.told_since;
        true
    }

    /// The stream ended; the next one begins after the last id.
    fn begin_again(&mut self, seen: Option<&str>) {
        if self.after.is_none() {
            self.after = seen.map(str::to_owned);
        }
        if self.after.is_none() {
            self.told_since = 0;
        }
        self.passed_over = 0;
    }
}

impl Client {
    /// Follows a watch from now on, and goes on by itself when its connection breaks.
    ///
    /// # Errors
    /// The gateway refuses, or does not answer.
    pub async fn watch(&self, path: &str) -> Result<Watch, Error> {
        Ok(Watch {
            client: self.clone(),
            path: path.to_owned(),
            stream: Some(self.events(path, None).await?),
            place: Place::default(),
            missed: None,
            backoff: Backoff::default(),
        })
    }
}

impl Watch {
    /// What happened next. A watch has no end.
    ///
    /// # Errors
    /// The gateway refuses to go on, and asking again does not help.
    pub async fn next(&mut self) -> Result<News, Error> {
        loop {
            let Some(stream) = &mut self.stream else {
                if let Some(interrupted) = self.go_on().await? {
                    return Ok(News::Interrupted(interrupted));
                }
                continue;
            };
            if let Some(reason) = self.missed.take() {
                return Ok(News::Missed(reason));
            }
            let ended = match stream.next().await {
                Ok(Some(event)) if event.name == "resync" => match self.resync(&event) {
                    Ok(reason) => return Ok(News::Missed(reason)),
                    Err(broken) => broken,
                },
                Ok(Some(event)) => {
                    self.backoff.reset();
                    if self.place.is_new(&event) {
                        return Ok(News::Event(event));
                    }
                    continue;
                }
                Ok(None) => transport("the gateway has ended the watch"),
                Err(error) => error,
            };
            let seen = self.stream.take();
            let seen = seen.as_ref().and_then(EventStream::last_id);
            if self.missed.is_none() {
                self.place.begin_again(seen);
                return Ok(News::Interrupted(ended));
            }
        }
    }

    /// Asks for the rest, once. A failure that may pass is told, and not the end.
    async fn go_on(&mut self) -> Result<Option<Error>, Error> {
        tokio::time::sleep(self.backoff.pause(None)).await;
        let after = self.place.after.as_deref();
        match self.client.events(&self.path, after).await {
            Ok(stream) => self.stream = Some(stream),
            Err(error) if error.is_retryable() => return Ok(Some(error)),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// The gateway cannot go on here. Either events were missed, and why is answered if the watch
    /// goes on by itself; or it cannot read them now.
    fn resync(&mut self, event: &ServerEvent) -> Result<String, Error> {
        let body: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let reason = body["reason"].as_str().unwrap_or("unknown");
        if reason == "unavailable" {
            return Err(transport(reason));
        }
        self.place = Place {
            after: event.id.clone(),
            ..Place::default()
        };
        if event.id.is_some() {
            self.backoff.reset();
            return Ok(reason.to_owned());
        }
        // A gateway that says no more ends the stream; the next one begins anew.
        self.missed = Some(reason.to_owned());
        Err(transport(reason))
    }
}

fn transport(message: &str) -> Error {
    Error::Transport {
        message: message.to_owned(),
        may_have_taken_effect: false,
    }
}

#[cfg(test)]
mod tests;
