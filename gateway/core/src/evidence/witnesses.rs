//! Has witnesses cosign the ledgers' checkpoints, so that nobody who can write a gateway's files can
//! take the ledger back to an earlier state, or show two histories, unnoticed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Clock;
use leasehold_evidence::TrustedKeys;

use super::Evidence;
use super::Signed;
use super::witness::Answer;
use super::witness::WitnessClient;
use crate::config::Config;
use crate::safety::Incidents;
use crate::safety::RefusalWatch;
use crate::safety::WitnessRefusal;
use crate::stores::OpenStore;
use crate::stores::Stores;
use crate::tasks::Supervised;
use crate::tasks::supervise;
use crate::telemetry::Metrics;

/// Asks the witnesses of the configuration about the ledgers of all stores.
#[derive(Debug)]
pub struct Witnesses {
    evidence: Arc<Evidence>,
    stores: Arc<Stores>,
    clients: Vec<WitnessClient>,
    /// By the names of witness and log.
    known: Mutex<BTreeMap<(String, String), Known>>,
    incidents: RefusalWatch,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    every: Duration,
}

/// What is known of a witness's view of a log.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// How many events the checkpoint had that it has cosigned last.
    cosigned: u64,
    /// In how many rounds, one after another, it had cosigned more than the ledger has.
    behind: u32,
}

/// In so many rounds, one after another, a ledger may have less than a witness has cosigned.
const BEHIND_ROUNDS_MAX: u32 = 3;

/// What came of asking a witness.
enum Asked {
    /// The checkpoint with the lines of its signatures.
    Cosigned(String),
    Refused(String),
    /// Nobody knows what it would say: why, as the metric has it, and in words for operators.
    Later(&'static str, String),
}

impl Witnesses {
    /// Prepares what the configuration says.
    ///
    /// # Errors
    /// A client cannot be made; the text is for operators.
    pub fn new(
        config: &Config,
        (evidence, stores): (&Arc<Evidence>, &Arc<Stores>),
        incidents: &Arc<Incidents>,
        (metrics, clock): (&Arc<Metrics>, &Arc<dyn Clock>),
    ) -> Result<Self, String> {
        let witnesses = &config.audit.witnesses;
        let clients: Result<_, _> = witnesses.iter().map(WitnessClient::new).collect();
        Ok(Self {
            evidence: evidence.clone(),
            stores: stores.clone(),
            clients: clients?,
            known: Mutex::default(),
            incidents: RefusalWatch::new(incidents.clone()),
            metrics: metrics.clone(),
            clock: clock.clone(),
            every: Duration::from_millis(config.audit.witness_interval_ms),
        })
    }

    /// Asks until the task is dropped; no task if there are no witnesses.
    #[must_use]
    pub fn start(self: Arc<Self>) -> Option<Supervised> {
        if self.clients.is_empty() {
            return None;
        }
        let metrics = self.metrics.clone();
        Some(supervise("witnesses", metrics.tasks(), move || {
            let this = self.clone();
            async move {
                loop {
                    this.round().await;
                    tokio::time::sleep(this.every).await;
                }
            }
        }))
    }

    /// Asks each witness about each ledger once, and ends acknowledged incidents.
    async fn round(&self) {
        self.incidents.end_acknowledged(self.clock.wall()).await;
        for name in self.stores.names() {
            // One that is not open, or is of no store yet, is asked about later.
            let Ok(store) = self.stores.get(&name) else {
                continue;
            };
            if let Ok(signed) = self.evidence.sign(store) {
                self.ask_all(store, &signed).await;
            }
        }
    }

    async fn ask_all(&self, store: &OpenStore, signed: &Signed) {
        let mut note = signed.note.clone();
        for client in &self.clients {
            let outcome = match self.ask(client, store, signed).await {
                Asked::Cosigned(lines) => {
                    note.push_str(&lines);
                    "cosigned"
                }
                Asked::Refused(answer) => {
                    let refusal = WitnessRefusal {
                        witness: client.name().to_owned(),
                        answer,
                        size: signed.head.size,
                        root: signed.head.root.to_string(),
                        refusals: 1,
                    };
                    let now = self.clock.wall();
                    self.incidents.refused(&store.name, refusal, now).await;
                    "refused"
                }
                Asked::Later(outcome, problem) => {
                    let (witness, store) = (client.name(), &store.name);
                    tracing::warn!(witness, %store, problem, "witness.not_now");
                    outcome
                }
            };
            self.metrics.witness_asked(outcome);
        }
        if note.len() > signed.note.len() {
            self.evidence.keep_cosigned(&signed.origin, note);
        }
    }

    /// Asks one witness; once more if it knows the log at another size than was thought.
    async fn ask(&self, client: &WitnessClient, store: &OpenStore, signed: &Signed) -> Asked {
        let size = signed.head.size;
        let of = (client.name().to_owned(), signed.origin.clone());
        let mut old = self.known().get(&of).map_or(0, |log| log.cosigned);
        for _ in 0..2 {
            if old > size {
                return self.behind(of, (old, size));
            }
            let proof = match old {
                0 => Ok(Vec::new()),
                old => {
                    let question = TreeQuestion::Consistency { old, size };
                    store.ledger.tree_hashes(question).await
                }
            };
            let proof = match proof {
                Ok(proof) => proof,
                Err(error) => return Asked::Later("failed", error.to_string()),
            };
            match client.ask(old, &proof, &signed.note).await {
                Ok(Answer::Cosigned(lines)) => {
                    let lines = self.checked(client, signed, &lines);
                    if !lines.is_empty() {
                        let behind = 0;
                        let cosigned = size;
                        self.known().insert(of, Known { cosigned, behind });
                        return Asked::Cosigned(lines);
                    }
                    let answer = "it answers with no right signature by its key".to_owned();
                    return Asked::Refused(answer);
                }
                Ok(Answer::OtherSize(cosigned)) => old = cosigned,
                Ok(Answer::Refused(answer)) => return Asked::Refused(answer),
                Err(problem) => return Asked::Later("unreachable", problem),
            }
        }
        let problem = "another gateway has it cosign the same log at the same time";
        Asked::Later("behind", problem.to_owned())
    }

    /// A witness has cosigned more than the ledger has. For a while that is no sign of anything: another
    /// member of the group may have asked it, whose ledger is ahead.
    fn behind(&self, of: (String, String), (cosigned, size): (u64, u64)) -> Asked {
        let mut known = self.known();
        let log = known.entry(of).or_default();
        log.behind += 1;
        if log.behind < BEHIND_ROUNDS_MAX {
            let problem =
                format!("it has cosigned {cosigned} events, and the ledger has {size} yet");
            return Asked::Later("behind", problem);
        }
        Asked::Refused(format!(
            "it has cosigned {cosigned} events, and the ledger has {size}: it was rolled back, or is \
             far behind the other members"
        ))
    }

    /// The lines among these that are the witness's right signatures of the checkpoint.
    fn checked(&self, client: &WitnessClient, signed: &Signed, lines: &str) -> String {
        let public = self.evidence.public_keys_of(&signed.origin);
        let Ok(keys) = TrustedKeys::parse(&public, std::slice::from_ref(&client.key)) else {
            return String::new();
        };
        let is_right = |line: &&str| {
            let note = format!("{}{line}", signed.note);
            keys.open(&note).is_ok_and(|note| !note.cosigned.is_empty())
        };
        lines.split_inclusive('\n').filter(is_right).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
