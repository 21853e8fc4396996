//! How long nobody is granted anything when the leader is killed: three gateways beside a
//! three-member etcd, by one client pattern, in one run, a kill of each in turn.
//!
//! `cargo bench -p leasehold-tests --bench failover [KILLS]`

#[path = "failover/etcd.rs"]
mod etcd;
#[path = "failover/gateways.rs"]
mod gateways;

use std::time::Duration;

use anyhow::Result;
use anyhow::bail;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;

use crate::etcd::Etcd;
use crate::gateways::Gateways;

/// Kills of each leader, if the command line does not say.
const KILLS: usize = 30;
/// How long a client waits for one member's answer before it asks another. A member that has not
/// heard yet that the leader is gone may be silent for seconds.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// How long a client rests after it was refused.
const REST: Duration = Duration::from_millis(5);
/// How long a group may take to grant again, or to be whole again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A group of members that grants locks while most of them live.
trait Group {
    /// For the table.
    fn name(&self) -> &'static str;

    /// Kills the member that leads; answers the places of the others.
    async fn kill_leader(&mut self) -> Result<Vec<usize>>;

    /// Asks a member for a lock that nobody has. Answers whether it was granted.
    async fn ask(&self, place: usize, lock: &str) -> Result<bool>;

    /// Starts the member that was killed, and waits until the group is whole.
    async fn mend(&mut self) -> Result<()>;
}

fn main() -> Result<()> {
    // `cargo bench` adds an argument of its own.
    let number = |argument: String| argument.parse().ok();
    let kills = std::env::args().find_map(number).unwrap_or(KILLS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(compare(kills))
}

async fn compare(kills: usize) -> Result<()> {
    let clock = SystemClock::new();
    let (mut ours, mut theirs) = (Gateways::start().await?, Etcd::start().await?);
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for kill in 0..kills {
        of_ours.push(outage(&mut ours, &clock, kill).await?);
        of_theirs.push(outage(&mut theirs, &clock, kill).await?);
    }
    print(&[(ours.name(), of_ours), (theirs.name(), of_theirs)]);
    Ok(())
}

/// Kills the leader, and measures until any of the others has granted a lock.
async fn outage(group: &mut impl Group, clock: &SystemClock, kill: usize) -> Result<Duration> {
    // Connections are there before, as a client's are.
    for place in 0..leasehold_tests::MEMBERS {
        granted(group, &[place], &format!("before-{kill}-{place}")).await?;
    }
    let others = group.kill_leader().await?;
    let begin = clock.monotonic();
    granted(group, &others, &format!("after-{kill}")).await?;
    let lasted = clock.monotonic() - begin;
    group.mend().await?;
    Ok(lasted)
}

/// Asks members in turn until one grants.
async fn granted(group: &impl Group, places: &[usize], lock: &str) -> Result<()> {
    let asking = async {
        for place in places.iter().cycle() {
            let asked = tokio::time::timeout(ANSWER_MAX, group.ask(*place, lock)).await;
            if let Ok(Ok(true)) = asked {
                return;
            }
            tokio::time::sleep(REST).await;
        }
    };
    if tokio::time::timeout(PATIENCE, asking).await.is_err() {
        bail!("{} grants nothing", group.name());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn print(rows: &[(&str, Vec<Duration>)]) {
    println!("| kill -9 of the leader, to the next grant | kills | p50 ms | p99 ms | max ms |");
    println!("|---|---|---|---|---|");
    for (name, lasted) in rows {
        let mut lasted = lasted.clone();
        lasted.sort_unstable();
        // Of 30 the 99th percentile is the greatest.
        let at = |percent: usize| {
            let rank = (lasted.len() * percent).div_ceil(100).max(1);
            lasted.get(rank - 1).map_or(0, Duration::as_millis)
        };
        println!(
            "| {name} | {} | {} | {} | {} |",
            lasted.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}
