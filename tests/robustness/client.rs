//! What clients do all day: take locks, hold them, look at them, give them back, and die at times.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Answer;
use super::Ask;
use super::Done;
use super::caller::Caller;
use super::caller::Question;

/// Locks that all clients want.
const CONTENDED: usize = 3;
/// Locks that only one client wants, for each.
const OWN: usize = 2;
/// How often a client asks again what was not answered.
const TRIES: usize = 4;

/// A client, until it is told to stop.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) number: u32,
    pub(crate) random: StdRng,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A lease that a client was told of.
#[derive(Debug)]
struct Lease {
    lock: String,
    key: String,
    lease_id: String,
    token: u64,
    ttl_ms: u64,
}

impl Client {
    pub(crate) async fn work(mut self) {
        for round in 0_u64.. {
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let lock = match self.random.random_bool(0.6) {
                true => format!("contended-{}", self.random.random_range(0..CONTENDED)),
                false => format!("own-{}-{}", self.number, self.random.random_range(0..OWN)),
            };
            let key = format!("c{}-{round}", self.number);
            match self.take(lock, key).await {
                Some(lease) => self.hold(lease).await,
                None => self.pause(5..80).await,
            }
        }
    }

    async fn pause(&mut self, ms: std::ops::Range<u64>) {
        let pause = Duration::from_millis(self.random.random_range(ms));
        tokio::time::sleep(pause).await;
    }

    fn any_gateway(&mut self) -> usize {
        self.random.random_range(0..self.caller.gateways())
    }

    async fn take(&mut self, lock: String, key: String) -> Option<Lease> {
        let ttl_ms = self.random.random_range(1_000..3_000);
        let wait_ms = match self.random.random_bool(0.4) {
            true => self.random.random_range(100..1_500),
            false => 0,
        };
        for _ in 0..TRIES {
            let gateway = self.any_gateway();
            let heard = self
                .caller
                .ask(Question {
                    gateway,
                    lock: &lock,
                    key: &key,
                    lease_id: "",
                    ask: Ask::Acquire { ttl_ms, wait_ms },
                })
                .await;
            match (heard.answer, heard.lease_id) {
                (Answer::Ok(Done::Granted { token, .. }), Some(lease_id)) => {
                    return Some(Lease {
                        lock,
                        key,
                        lease_id,
                        token,
                        ttl_ms,
                    });
                }
                (Answer::Failed { code, .. }, _) if code == "held" && wait_ms == 0 => return None,
                // Some ask again, which keeps their place, or finds the lease that they may have;
                // some go away.
                _ if self.random.random_bool(0.25) => return None,
                _ => self.pause(10..200).await,
            }
        }
        None
    }

    async fn hold(&mut self, lease: Lease) {
        for _ in 0..self.random.random_range(0..4) {
            self.pause(1..250).await;
            let ask = match self.random.random_range(0..4) {
                0 | 1 => Ask::Renew {
                    ttl_ms: lease.ttl_ms,
                },
                2 => Ask::Validate { token: lease.token },
                _ => Ask::Read,
            };
            if let Answer::Failed { code, .. } = self.about(&lease, ask).await
                && (code == "lease_ended" || code == "lease_lost")
            {
                return;
            }
        }
        // Dead: whoever wants the lock waits for the lease's end.
        if self.random.random_bool(0.15) {
            return;
        }
        for _ in 0..TRIES {
            match self.about(&lease, Ask::Release).await {
                Answer::Ok(_) => return self.look_back(&lease).await,
                Answer::Failed { code, .. } if code.starts_with("lease_") => return,
                _ => self.pause(10..200).await,
            }
        }
    }

    /// What was given back is seen to be, everywhere and at once.
    async fn look_back(&mut self, lease: &Lease) {
        if self.random.random_bool(0.5) {
            self.about(lease, Ask::Read).await;
        }
    }

    async fn about(&mut self, lease: &Lease, ask: Ask) -> Answer {
        let mine = !matches!(ask, Ask::Read);
        let gateway = self.any_gateway();
        let heard = self
            .caller
            .ask(Question {
                gateway,
                lock: &lease.lock,
                key: if mine { &lease.key } else { "" },
                lease_id: &lease.lease_id,
                ask,
            })
            .await;
        heard.answer
    }
}
