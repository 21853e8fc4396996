//! A lock held by this program: renewed in the background, and told of the moment it is lost.

use std::time::Duration;
use std::time::Instant;

use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::locks as wire;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Client;
use crate::Deadline;
use crate::Error;
use crate::deadline::now;

/// The longest that one poll waits; longer waits ask again in the same place.
const POLL_MS: u64 = 25_000;
/// The pause after a renewal that failed for a passing reason.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// What to take, and how.
#[derive(Debug, Clone)]
pub struct LockOptions {
    /// The namespace.
    pub namespace: String,
    /// The lock's name.
    pub lock: String,
    /// Mode, ttl, labels, reason… `wait_ms` and `request_id` are set here.
    pub request: wire::AcquireRequest,
    /// How long to wait for it; none to wait for ever.
    pub wait: Option<Duration>,
}

/// Why a lock is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The gateway said that the lease is over: its message.
    Ended(String),
    /// It must be given back by the deadline: revoked, or handed over.
    Draining(String),
    /// It could not be renewed in time.
    NotRenewed(String),
}

/// Who stands in the way, shown while waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Who holds the lock.
    pub holders: Vec<String>,
    /// The place in the queue; 0 is next.
    pub position: Option<u32>,
}

/// A lock held by this program.
#[derive(Debug)]
pub struct LockGuard {
    client: Client,
    namespace: String,
    lock: String,
    grant: wire::Grant,
    state: watch::Receiver<State>,
    renewing: JoinHandle<()>,
}

/// What the renewing task knows.
#[derive(Debug, Clone)]
struct State {
    deadline: Deadline,
    loss: Option<Loss>,
}

impl Client {
    /// Takes a lock and keeps it renewed. `show` hears who stands in the way, at each change.
    ///
    /// # Errors
    /// It was denied, it was not granted within the wait, or the gateway cannot be reached.
    pub async fn hold(
        &self,
        options: LockOptions,
        mut show: impl FnMut(&Waiting),
    ) -> Result<LockGuard, Error> {
        let LockOptions {
            namespace,
            lock,
            mut request,
            wait,
        } = options;
        let id = format!("{:032x}", rand::random::<u128>());
        request.request_id.get_or_insert(id);
        let give_up = wait.map(|wait| now() + wait);
        // The first look does not wait, so that the reason to wait is shown at once.
        request.wait_ms = None;
        loop {
            let sent = now();
            match self.acquire(&namespace, &lock, &request).await {
                Ok(grant) => return self.keep(namespace, lock, grant, sent).await,
                Err(error) => {
                    let problem = error
                        .problem()
                        .filter(|problem| problem.code == ErrorCode::Held);
                    let Some(problem) = problem else {
                        let passing = error.problem().is_none() && error.is_retryable();
                        if !passing || give_up.is_none_or(|at| now() >= at) {
                            return Err(error);
                        }
                        tokio::time::sleep(RETRY_AFTER).await;
                        continue;
                    };
                    let holders = problem.holders.iter().flatten();
                    show(&Waiting {
                        holders: holders.map(|holder| holder.subject.clone()).collect(),
                        position: problem.position.or(problem.waiters),
                    });
                    if give_up.is_some_and(|at| now() >= at) {
                        return Err(error);
                    }
                }
            }
            let left = give_up.map_or(POLL_MS, |at| millis(at.saturating_duration_since(now())));
            request.wait_ms = Some(left.clamp(1, POLL_MS));
        }
    }

    async fn keep(
        &self,
        namespace: String,
        lock: String,
        mut grant: wire::Grant,
        mut sent: Instant,
    ) -> Result<LockGuard, Error> {
        if grant.waited || grant.repeated {
            // Its time does not count from this request: a renewal's does.
            sent = now();
            let request = renewal(&grant);
            grant = self.renew(&namespace, &lock, &request).await?;
        }
        let deadline = Deadline::after(sent, Duration::from_millis(grant.remaining_ms));
        let (sender, state) = watch::channel(State {
            deadline,
            loss: None,
        });
        let renewer = Renewer {
            client: self.clone(),
            namespace: namespace.clone(),
            lock: lock.clone(),
            grant: grant.clone(),
            state: sender,
        };
        let renewing = tokio::spawn(renewer.run());
        Ok(LockGuard {
            client: self.clone(),
            namespace,
            lock,
            grant,
            state,
            renewing,
        })
    }
}

impl LockGuard {
    /// The lease and its fencing token.
    #[must_use]
    pub fn grant(&self) -> &wire::Grant {
        &self.grant
    }

    /// By when work must have stopped, as confirmed so far.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.state.borrow().deadline
    }

    /// Resolves when the lock is lost, or when only `grace` is left before it can be granted to
    /// another: time to stop.
    pub async fn lost(&mut self, grace: Duration) -> Loss {
        loop {
            let State { deadline, loss } = self.state.borrow_and_update().clone();
            if let Some(loss) = loss {
                return loss;
            }
            tokio::select! {
                biased;
                changed = self.state.changed() => {
                    if changed.is_err() {
                        return Loss::NotRenewed("renewing has ended".to_owned());
                    }
                }
                () = tokio::time::sleep_until(deadline.minus(grace).into()) => {
                    return Loss::NotRenewed("no renewal was confirmed in time".to_owned());
                }
            }
        }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// The lease was over already, or the gateway cannot be reached; the lease then ends by time.
    pub async fn release(self) -> Result<(), Error> {
        self.renewing.abort();
        self.client
            .release(&self.namespace, &self.lock, &self.grant.lease_id)
            .await
            .map(|_| ())
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

struct Renewer {
    client: Client,
    namespace: String,
    lock: String,
    grant: wire::Grant,
    state: watch::Sender<State>,
}

impl Renewer {
    async fn run(self) {
        let mut pause = Duration::from_millis(self.grant.renew_after_ms);
        loop {
            tokio::time::sleep(pause).await;
            let sent = now();
            let request = renewal(&self.grant);
            match self
                .client
                .renew(&self.namespace, &self.lock, &request)
                .await
            {
                Ok(grant) => {
                    let deadline = Deadline::after(sent, Duration::from_millis(grant.remaining_ms));
                    let drain = grant.drain.as_ref();
                    let loss = drain.map(|drain| Loss::Draining(drain.cause.clone()));
                    let ends = loss.is_some();
                    self.state.send_replace(State { deadline, loss });
                    if ends {
                        return;
                    }
                    pause = Duration::from_millis(grant.renew_after_ms);
                }
                Err(error) => match error.problem() {
                    Some(problem) if !problem.retryable => {
                        let loss = Some(Loss::Ended(error.to_string()));
                        self.state.send_modify(|state| state.loss = loss);
                        return;
                    }
                    // It may pass; the deadline stands, and `lost` watches it.
                    _ => pause = RETRY_AFTER,
                },
            }
        }
    }
}

fn renewal(grant: &wire::Grant) -> wire::RenewRequest {
    wire::RenewRequest {
        lease_id: grant.lease_id.clone(),
        ttl_ms: None,
        request_id: None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
