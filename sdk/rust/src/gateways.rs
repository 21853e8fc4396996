//! The gateways that a client may ask, and which of them it asks first.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use reqwest::Url;

use crate::Error;

/// The URLs of one or more gateways in front of the same stores.
///
/// Calls start at the current one. A gateway that cannot be reached or cannot serve passes the
/// turn to the next, for all clones of a client.
#[derive(Debug)]
pub(crate) struct Gateways {
    urls: Vec<String>,
    current: AtomicUsize,
}

impl Gateways {
    /// Parses URLs separated by commas or white space.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let separator = |c: char| c == ',' || c.is_whitespace();
        let mut urls: Vec<String> = Vec::new();
        for url in text.split(separator).filter(|url| !url.is_empty()) {
            let with_host = Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
            if !with_host {
                let message = format!(
                    "\"{url}\" is not the URL of a gateway: expected http://HOST:PORT or \
                     https://HOST:PORT, several separated by commas"
                );
                return Err(Error::Usage(message));
            }
            let url = url.trim_end_matches('/').to_owned();
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        if urls.is_empty() {
            let message = "the URL of the gateway is empty: expected http://HOST:PORT, several \
                           separated by commas";
            return Err(Error::Usage(message.to_owned()));
        }
        Ok(Self {
            urls,
            current: AtomicUsize::new(0),
        })
    }

    /// The number of gateways, at least one.
    pub(crate) fn count(&self) -> usize {
        self.urls.len()
    }

    /// The gateway to ask now: its index, and its URL without a slash at the end.
    pub(crate) fn current(&self) -> (usize, &str) {
        let index = self.current.load(Ordering::Relaxed) % self.urls.len();
        (index, &self.urls[index])
    }

    /// Passes the turn on if the gateway with this index still has it.
    pub(crate) fn pass_over(&self, index: usize) {
        let next = (index + 1) % self.urls.len();
        // If another call has passed the turn on already, that stands.
        let _ = self
            .current
            .compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_separated_by_commas_or_spaces_and_each_is_checked() {
        let gateways = Gateways::parse(" http://a:1/, https://b:2/base/\n http://a:1 ").unwrap();
        assert_eq!(gateways.urls, ["http://a:1", "https://b:2/base"]);
        for bad in [
            "",
            " , ",
            "a:7878",
            "localhost",
            "ftp://a",
            "http://a,b",
            "http://",
        ] {
            let refused = Gateways::parse(bad).unwrap_err().to_string();
            assert!(
                refused.contains("expected http://HOST:PORT"),
                "{bad:?}: {refused}"
            );
        }
    }

    #[test]
    fn the_turn_is_passed_on_once_for_one_failure() {
        let gateways = Gateways::parse("http://a http://b http://c").unwrap();
        let (first, _) = gateways.current();
        gateways.pass_over(first);
        gateways.pass_over(first);
        assert_eq!(gateways.current(), (1, "http://b"));
        gateways.pass_over(1);
        gateways.pass_over(2);
        assert_eq!(gateways.current(), (0, "http://a"));
    }
}
