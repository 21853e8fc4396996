//! What governance costs where there is very much of it: the CPU of one more key, and of one more
//! binding, beside thousands of keys, and the start of a gateway that has a thousand policy versions.
//!
//! `cargo bench -p leasehold-tests --bench governance [KEYS]`

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;
use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_host::stock::MODULES;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::json;

/// Keys beside which one more is made, if the command line does not say.
const KEYS: usize = 10_000;
/// How many are measured together.
const MEASURED: usize = 200;
/// Requests at once while everything is made that is not measured.
const CLIENTS: usize = 16;
/// Versions of each stock policy, and how many of all are bound.
const VERSIONS: usize = 200;
const BOUND: usize = 50;
/// Clock ticks of `/proc/PID/stat` in a second.
const TICKS: u32 = 100;
/// Starts of each kind; the median counts.
const STARTS: usize = 5;

fn main() -> Result<()> {
    // `cargo bench` adds an argument of its own.
    let number = |argument: String| argument.parse().ok();
    let keys = std::env::args().find_map(number).unwrap_or(KEYS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        edits(keys).await?;
        starts().await
    })
}

/// The CPU time that the gateway has used.
fn cpu(gateway: &Gateway) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid()?))?;
    let fields = stat.rsplit(')').next().context("a name in brackets")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| Ok::<u32, anyhow::Error>(fields.get(at).context("a field")?.parse()?);
    Ok(Duration::from_secs((ticks(11)? + ticks(12)?).into()) / TICKS)
}

async fn make_key(api: &Api) -> Result<()> {
    let answer = api.post("/v1/keys", &json!({ "subject": "svc" })).await?;
    ensure!(answer.status == 201, "{answer:?}");
    Ok(())
}

async fn make_binding(api: &Api, name: &str, version: &str) -> Result<()> {
    let body = json!({
        "namespaces": ["demo"], "locks": [format!("{name}/**")],
        "policies": [{ "policy": "ttl-bounds", "version": version }],
    });
    let answer = api.put(&format!("/v1/bindings/{name}"), &body).await?;
    ensure!(answer.status < 300, "{answer:?}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
async fn edits(keys: usize) -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    println!("| keys | CPU of one more key, ms | of one more binding, ms |");
    for made in [0, keys] {
        let making = stream::iter(0..made).map(|_| make_key(&api));
        making.buffer_unordered(CLIENTS).try_collect::<()>().await?;
        let before = cpu(&gateway)?;
        for _ in 0..MEASURED {
            make_key(&api).await?;
        }
        let of_keys = cpu(&gateway)? - before;
        let before = cpu(&gateway)?;
        for n in 0..MEASURED {
            make_binding(&api, &format!("b-{made}-{n}"), "1.0.0").await?;
        }
        let of_bindings = cpu(&gateway)? - before;
        let each = |all: Duration| all.as_secs_f64() * 1_000.0 / MEASURED as f64;
        println!(
            "| {made} | {:.2} | {:.2} |",
            each(of_keys),
            each(of_bindings)
        );
    }
    Ok(())
}

/// A stock module that says that it is another version: one digit for each number.
fn version_of(wasm: &[u8], number: usize) -> (String, Vec<u8>) {
    let version = format!("{}.{}.{}", 2 + number / 100, number / 10 % 10, number % 10);
    let is_version = |bytes: &[u8]| bytes == b"1.0.0";
    let at = wasm.windows(5).position(is_version).unwrap_or_default();
    let mut wasm = wasm.to_vec();
    wasm[at..at + 5].copy_from_slice(version.as_bytes());
    (version, wasm)
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
async fn starts() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let api = gateway.admin();
    for (name, wasm) in MODULES {
        let uploads = stream::iter(0..VERSIONS).map(|number| {
            let (version, wasm) = version_of(wasm, number);
            let api = &api;
            async move {
                let answer = api.upload_policy(name, &version, wasm).await?;
                ensure!(answer.status == 201, "{answer:?}");
                if *name == "ttl-bounds" && number < BOUND {
                    make_binding(api, &format!("v-{number}"), &version).await?;
                }
                Ok(())
            }
        });
        uploads.buffered(1).try_collect::<()>().await?;
    }
    for (what, is_warm) in [("with compiled modules", true), ("without", false)] {
        let mut lasted = Vec::new();
        for _ in 0..STARTS {
            lasted.push(start(&mut gateway, is_warm).await?);
        }
        lasted.sort();
        let versions = VERSIONS * MODULES.len();
        println!(
            "start with {versions} versions, {BOUND} bound, {what}: {:?}",
            lasted[STARTS / 2]
        );
    }
    Ok(())
}

/// Ends the gateway, and measures from its start until it is ready.
async fn start(gateway: &mut Gateway, is_warm: bool) -> Result<Duration> {
    gateway.terminate().await?;
    if !is_warm {
        std::fs::remove_dir_all(gateway.data_dir().join("compiled"))?;
    }
    let clock = SystemClock::new();
    let begin = clock.monotonic();
    gateway.restart().await?;
    while gateway.admin().get("/readyz").await?.status != 200 {
        tokio::task::yield_now().await;
    }
    Ok(clock.monotonic() - begin)
}
