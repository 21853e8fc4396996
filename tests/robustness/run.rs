//! One run, from the first process to the last check.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Options;
use super::Recorder;
use super::caller::Caller;
use super::check;
use super::check::Expected;
use super::client::Client;
use super::disk::RUN_PREFIX;
use super::ledgers;
use super::nemesis::Nemesis;
use super::plan;
use super::plan::Step;
use super::planted;
use super::raft;
use super::summary::Summary;
use super::watcher::Watcher;
use super::world::Servers;
use super::world::World;

/// How long clients go on after the last fault: longer than a dead holder's lock may stay taken.
const QUIET: Duration = Duration::from_secs(15);
/// More rounds than any run has time for.
const ROUNDS: usize = 1_000;
/// Good calls that show that there was load, on a busy machine and with faults half of the time.
const CALLS_PER_SECOND_MIN: usize = 4;
/// Clients of one run.
const CLIENTS: u32 = 9;
/// Clients of one run that only watch.
const WATCHERS: u32 = 3;
/// How long watchers may take to see the last event, once all is quiet.
const CATCH_UP: Duration = Duration::from_secs(60);

/// Runs of one process come one after the other: its number names their networks, and they would
/// take each other's time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs, checks, and keeps what was seen if something did not hold.
///
/// # Errors
/// The run could not be carried out, which is no verdict. Its folder is kept, too.
pub async fn run(options: &Options) -> Result<Summary> {
    if let Some(bug) = &options.plant {
        planted::demand(bug)?;
    }
    let _alone = ALONE.lock().await;
    // A second installation is refused, and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = folder(options)?;
    let done = carry_out(options, &folder).await;
    let keep = options.keep || !matches!(&done, Ok(summary) if summary.violations.is_empty());
    if keep {
        return done
            .map(|summary| Summary {
                folder: Some(folder.clone()),
                ..summary
            })
            .with_context(|| format!("history, logs and data are in {}", folder.display()));
    }
    std::fs::remove_dir_all(&folder)?;
    done
}

fn folder(options: &Options) -> Result<PathBuf> {
    let parent = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent)?;
    let folder = tempfile::Builder::new()
        .prefix(&format!(
            "{RUN_PREFIX}{}-{}-{}-",
            options.store,
            options.seed,
            std::process::id()
        ))
        .tempdir_in(parent)?;
    Ok(folder.keep())
}

async fn carry_out(options: &Options, folder: &Path) -> Result<Summary> {
    let steps = plan::plan(options.seed, &options.faults, ROUNDS, options.hurry())?;
    let recorder = Arc::new(Recorder::create(&folder.join("history.jsonl"))?);
    let world = Arc::new(World::start(options, folder).await?);
    let stop = Arc::new(AtomicBool::new(false));
    let clients = clients(options, &world, &recorder, &stop)?;
    let (last, watchers) = watchers(&world, &recorder);
    let leaders = tokio::spawn(count_leaders(world.clone(), recorder.clone(), stop.clone()));
    let done = go_wrong(options, &world, &recorder, &steps).await;
    if done.is_ok() {
        tokio::time::sleep(QUIET).await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await?;
    }
    leaders.await?;
    let steps = done?;
    std::fs::write(
        folder.join("plan.json"),
        serde_json::to_string_pretty(&steps)?,
    )?;
    ledgers::read(&world, &recorder).await?;
    let turns = recorder
        .history()?
        .ledgers
        .into_iter()
        .flat_map(|l| l.turns);
    last.send_replace(Some(turns.map(|turn| turn.told.cursor).max().unwrap_or(0)));
    // Whoever has not seen the last event by then has missed it, which is for the checks to say.
    let _ = tokio::time::timeout(CATCH_UP, watchers.join_all()).await;
    let history = recorder.history()?;
    let expected = Expected {
        faults: options.faults.iter().map(ToString::to_string).collect(),
        calls_min: usize::try_from(options.seconds)? * CALLS_PER_SECOND_MIN,
        one_ledger: options.store.has_one_ledger(),
    };
    let checked = history.clone();
    // Long histories take a while, and the runtime has other things to do.
    let violations = tokio::task::spawn_blocking(move || check::run(&checked, &expected)).await?;
    Ok(Summary::of(options, &history, violations))
}

fn clients(
    options: &Options,
    world: &World,
    recorder: &Arc<Recorder>,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<tokio::task::JoinHandle<()>>> {
    let client = |number: u32| {
        let client = Client {
            caller: Caller::new(number, world.urls(), recorder.clone())?,
            number,
            random: StdRng::seed_from_u64(options.seed.wrapping_add(u64::from(number) << 32)),
            stop: stop.clone(),
        };
        Ok(tokio::spawn(client.work()))
    };
    (0..CLIENTS).map(client).collect()
}

/// Starts who watches, until told which event is the last.
fn watchers(world: &World, recorder: &Arc<Recorder>) -> (watch::Sender<Option<u64>>, JoinSet<()>) {
    let (last, told) = watch::channel(None);
    let mut watchers = JoinSet::new();
    for number in 0..WATCHERS {
        let watcher = Watcher::new(number, &world.urls(), recorder.clone(), told.clone());
        watchers.spawn(watcher.work());
    }
    (last, watchers)
}

/// Carries out the plan until the time is over, but each kind of fault once; answers what was done.
async fn go_wrong(
    options: &Options,
    world: &Arc<World>,
    recorder: &Arc<Recorder>,
    steps: &[Step],
) -> Result<Vec<Step>> {
    let nemesis = Nemesis {
        world: world.clone(),
        recorder: recorder.clone(),
        probe: Caller::new(CLIENTS, world.urls(), recorder.clone())?,
    };
    let quiet_s = QUIET.as_secs();
    ensure!(
        options.seconds > quiet_s,
        "a run takes more than {quiet_s} s"
    );
    let until_us = recorder.now_us() + (options.seconds - quiet_s) * 1_000_000;
    let mut done = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        if number >= options.faults.len() && recorder.now_us() > until_us {
            break;
        }
        let carried_out = nemesis.carry_out(number, step).await;
        carried_out.with_context(|| format!("fault {number}, {}", step.kind))?;
        done.push(step.clone());
    }
    Ok(done)
}

async fn count_leaders(world: Arc<World>, recorder: Arc<Recorder>, stop: Arc<AtomicBool>) {
    let mut known = None;
    while !stop.load(Ordering::SeqCst) {
        let now = match &world.servers {
            Servers::None => raft::leader(&world).await,
            // The primary has no terms.
            Servers::Postgres(pair) => Some((pair.primary(), 0)),
            Servers::Etcd(etcd) => etcd.leader().await,
        };
        if let (Some(before), Some(now)) = (known, now)
            && before != now
        {
            recorder.leader_change();
        }
        known = now.or(known);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
