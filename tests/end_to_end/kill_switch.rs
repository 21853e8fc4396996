//! A policy version is killed: it is in force on every connected gateway within 2 s, and a gateway
//! that is cut off stops granting within 5 s.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_guests::Guest;
use leasehold_test_servers::Forwarder;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::json;
use tokio::task::JoinHandle;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Within which a kill must be in force on every connected gateway.
const IN_FORCE: Duration = Duration::from_secs(2);
/// Within which a gateway that is cut off must stop granting.
const CUT_OFF: Duration = Duration::from_secs(5);
/// How long after each of these it is watched that nothing is granted.
const WATCHED: Duration = Duration::from_secs(2);
/// A port that nothing listens to.
const NOWHERE: u16 = 1;

fn guest(version: &str) -> Guest {
    Guest {
        name: "by-hand".to_owned(),
        version: version.to_owned(),
        operations: vec!["acquire".to_owned()],
        ..Guest::default()
    }
}

/// Uploads a version and binds it in a namespace.
async fn bind(admin: &Api, namespace: &str) -> Result<()> {
    let guest = guest("1.0.0");
    let uploaded = admin.upload_policy(&guest.name, &guest.version, guest.wasm());
    ensure!(uploaded.await?.status == 201);
    let body = json!({ "namespaces": [namespace],
        "policies": [{ "policy": "by-hand", "version": "1.0.0" }] });
    let bound = admin.put("/v1/bindings/b", &body).await?;
    ensure!(bound.status < 300, "{bound:?}");
    Ok(())
}

async fn acquire(api: &Api, lock: &str) -> Result<leasehold_tests::Answer> {
    super::stores::acquire(api, lock).await
}

async fn command(gateway: &Gateway, arguments: &[&str]) -> Result<String> {
    let done = gateway.command_line(ADMIN_KEY, arguments).await?;
    ensure!(done.status.success(), "{arguments:?}: {done:?}");
    Ok(String::from_utf8(done.stdout)?)
}

/// Takes one lock after the other on one gateway, and notes when it sent the last request that was
/// granted.
struct Asker {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Result<(Option<Duration>, u32)>>,
}

impl Asker {
    fn start(clock: &Arc<SystemClock>, api: Api, name: String) -> Self {
        let (clock, stop) = (clock.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let (mut last, mut refused) = (None, 0);
            for n in 0_u32.. {
                if stopped.load(Relaxed) {
                    break;
                }
                let sent = clock.monotonic();
                let answer = acquire(&api, &format!("west/{name}/{n}")).await?;
                match answer.status {
                    201 => (last, refused) = (Some(sent), 0),
                    403 | 503 => refused += 1,
                    _ => anyhow::bail!("{answer:?}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok((last, refused))
        });
        Self { stop, asking }
    }

    /// Returns when the last request was sent that was granted, and how many were refused after it.
    async fn stop(self) -> Result<(Option<Duration>, u32)> {
        self.stop.store(true, Relaxed);
        self.asking.await?
    }
}

/// Three gateways whose governance is in one database, with namespace `west` in another. The third
/// reaches the first database by the forwarder alone.
async fn three(postgres: &Postgres, home: &Forwarder) -> Result<Vec<Gateway>> {
    let (governance, locks) = (postgres.database().await, postgres.database().await);
    let mut gateways = Vec::new();
    for name in ["one", "two", "three"] {
        let url = match name {
            "three" => home.url(&governance),
            _ => postgres.url(&governance),
        };
        let config = format!(
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{url}\"\n\
             consumer = \"{name}\"\nallow_unreplicated = true\n[stores.eu]\nbackend = \"postgres\"\n\
             [stores.eu.postgres]\nurl = \"{}\"\nconsumer = \"{name}\"\nallow_unreplicated = true\n\
             [safe_mode]\ngateway = \"{name}\"\n",
            postgres.url(&locks)
        );
        let options = GatewayOptions {
            config,
            ..GatewayOptions::default()
        };
        gateways.push(Gateway::start_with(options).await?);
    }
    Ok(gateways)
}

async fn until_granted(services: &[Api], what: &str) -> Result<()> {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    for (place, service) in services.iter().enumerate() {
        for n in 0_u32.. {
            let answer = acquire(service, &format!("west/{what}/{place}/{n}")).await?;
            if answer.status == 201 {
                break;
            }
            let waited = clock.monotonic().saturating_sub(began);
            ensure!(waited < PATIENCE, "{what}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// Returns how long after a moment each gateway was sent the last request that it granted; all of them
/// within a bound.
#[expect(clippy::print_stderr, reason = "tells what was measured")]
async fn last_grants(
    askers: Vec<Asker>,
    (what, since): (&str, Duration),
    bound: Duration,
) -> Result<Vec<Duration>> {
    let mut all = Vec::new();
    for (place, asker) in askers.into_iter().enumerate() {
        let (last, refused) = asker.stop().await?;
        ensure!(last.is_some(), "gateway {place} has granted nothing before");
        ensure!(refused > 0, "gateway {place} has refused nothing");
        let after = last.unwrap_or_default().saturating_sub(since);
        eprintln!("gateway {place}: last grant {after:?} after {what}, {refused} refused since");
        ensure!(after < bound, "gateway {place}: {after:?} after {what}");
        all.push(after);
    }
    Ok(all)
}

/// Waits until a gateway refuses because of the kill. It grants nothing meanwhile.
async fn until_killed(service: &Api) -> Result<()> {
    let clock = SystemClock::new();
    let began = clock.monotonic();
    loop {
        let answer = acquire(service, "west/again").await?;
        if answer.status == 403 {
            ensure!(answer.code() == "policy_error", "{answer:?}");
            return Ok(());
        }
        ensure!(answer.status == 503, "{answer:?}");
        ensure!(clock.monotonic().saturating_sub(began) < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_is_in_force_everywhere_within_two_seconds_and_within_five_where_it_is_cut_off()
-> Result<()> {
    let postgres = Postgres::start().await;
    let home = Forwarder::start(postgres.port()).await;
    let gateways = three(&postgres, &home).await?;
    let admin = gateways[0].admin();
    let made = super::stores::create(&admin, "west", "eu").await?;
    ensure!(made.status == 201, "{made:?}");
    bind(&admin, "west").await?;
    let key = gateways[0].service("svc", "payments").await?;
    let services: Vec<Api> = gateways.iter().map(|one| key.at(one.url())).collect();
    until_granted(&services, "bound").await?;

    let clock = Arc::new(SystemClock::new());
    let ask = |what: &str| -> Vec<Asker> {
        let all = services.iter().enumerate();
        all.map(|(n, api)| Asker::start(&clock, api.clone(), format!("{what}-{n}")))
            .collect()
    };
    let (mark, revive) = (
        json!({ "reason": "INC-9" }),
        "/v1/policies/by-hand/versions/1.0.0:revive",
    );
    let kill = "/v1/policies/by-hand/versions/1.0.0:kill";
    let askers = ask("connected");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let killed = admin.post(kill, &mark).await?;
    let answered = clock.monotonic();
    ensure!(killed.status == 200, "{killed:?}");
    tokio::time::sleep(IN_FORCE + WATCHED).await;
    last_grants(askers, ("the answer", answered), IN_FORCE).await?;

    // The third gateway is cut off before the kill, and its locks are still reached.
    ensure!(admin.post(revive, &mark).await?.status == 200);
    until_granted(&services, "revived").await?;
    let askers = ask("cut-off");
    tokio::time::sleep(Duration::from_millis(500)).await;
    home.lead_to(NOWHERE);
    let cut = clock.monotonic();
    let killed = admin.post(kill, &mark).await?;
    ensure!(killed.status == 200, "{killed:?}");
    tokio::time::sleep(CUT_OFF + WATCHED).await;
    let last_grants = last_grants(askers, ("the cut", cut), CUT_OFF).await?;
    // It did go on by what it knew, so the bound was tested.
    ensure!(last_grants[2] > Duration::from_secs(1), "{last_grants:?}");

    // Connected again it refuses because of the kill.
    home.lead_to(postgres.port());
    until_killed(&services[2]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_version_is_shown_everywhere_and_an_administrator_revives_it() -> Result<()> {
    let gateway = Gateway::start().await?;
    let admin = gateway.admin();
    bind(&admin, "demo").await?;
    let operator = gateway.principal("op", "platform", &["operator"]).await?;
    let author = gateway.principal("au", "rules", &["policy-author"]).await?;
    let path = |verb: &str| format!("/v1/policies/by-hand/versions/1.0.0:{verb}");
    let why = json!({ "reason": "INC-9" });
    let refused = author.post(&path("kill"), &why).await?;
    ensure!(refused.status == 403, "{refused:?}");
    let nothing = operator
        .post(&path("kill"), &json!({ "reason": " " }))
        .await?;
    ensure!(nothing.status == 422, "{nothing:?}");
    let killed = operator.post(&path("kill"), &why).await?;
    ensure!(killed.body["killed"]["by"] == "op", "{killed:?}");
    ensure!(killed.body["unusable"]["kind"] == "killed", "{killed:?}");

    let denied = admin.acquire("a", 60_000).await?;
    ensure!(denied.code() == "policy_error", "{denied:?}");
    ensure!(denied.text.contains("\"killed\""), "{denied:?}");
    ensure!(denied.text.contains("was killed by op"), "{denied:?}");
    let shown = command(&gateway, &["policy", "show", "by-hand@1.0.0"]).await?;
    for part in ["killed", "by op: INC-9", "in use by", "binding b"] {
        ensure!(shown.contains(part), "{shown}");
    }
    let resolve = ["policy", "resolve", "demo/a", "--operation", "acquire"];
    let resolved = command(&gateway, &resolve).await?;
    ensure!(resolved.contains("was killed by op"), "{resolved}");
    let gauge = "leasehold_policy_versions_unusable{reason=\"killed\"} 1";
    let clock = SystemClock::new();
    let began = clock.monotonic();
    while !admin.get("/metrics").await?.text.contains(gauge) {
        ensure!(clock.monotonic().saturating_sub(began) < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rows = admin.ledger("operation=governance").await?;
    let text = rows.iter().map(ToString::to_string).collect::<String>();
    ensure!(
        text.contains("policy by-hand@1.0.0 killed: INC-9"),
        "{text}"
    );

    ensure!(operator.post(&path("revive"), &why).await?.status == 403);
    let revive = [
        "policy",
        "revive",
        "by-hand@1.0.0",
        "--reason",
        "INC-9 over",
    ];
    let revived = command(&gateway, &revive).await?;
    ensure!(!revived.contains("fails wherever"), "{revived}");
    ensure!(admin.acquire("a", 60_000).await?.status == 201);
    let kill = ["policy", "kill", "by-hand@1.0.0", "--reason", "again"];
    let killed = command(&gateway, &kill).await?;
    ensure!(killed.contains("fails wherever it would judge"), "{killed}");
    Ok(())
}
