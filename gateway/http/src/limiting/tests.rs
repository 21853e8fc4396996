use axum::http::HeaderMap;
use axum::http::HeaderValue;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::RATE_BUCKETS;

use super::*;

fn config(text: &str) -> Config {
    let config = Config::parse(text).unwrap();
    config.check().unwrap();
    config
}

fn limiter(limits: &str) -> (Limiter, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(WallMillis(1_000_000)));
    let config = config(&format!("[limits]\n{limits}"));
    let metrics = Arc::new(Metrics::new());
    (Limiter::new(&config, clock.clone(), metrics), clock)
}

fn address(text: &str) -> AddressGroup {
    ClientAddress(text.parse().unwrap()).group()
}

/// How many of `tries` succeed.
fn granted(tries: usize, mut one: impl FnMut() -> Result<(), Failure>) -> usize {
    (0..tries).filter(|_| one().is_ok()).count()
}

#[test]
fn a_rate_is_kept_over_time_and_says_when_to_come_again() {
    let (limiter, clock) = limiter("requests_per_address_per_s = 10\n");
    let one = address("10.0.0.1");
    assert_eq!(granted(50, || limiter.admit_address(one)), 10);
    let refused = limiter.admit_address(one).unwrap_err();
    assert_eq!(refused.kind, FailureKind::RateLimited);
    assert_eq!(refused.effect, leasehold_backend_api::Effect::None);
    assert_eq!(refused.retry_after_ms, Some(100));
    assert_eq!(
        granted(50, || limiter.admit_address(address("10.0.0.2"))),
        10
    );
    for _ in 0..20 {
        clock.advance(500);
        assert_eq!(granted(50, || limiter.admit_address(one)), 5);
    }
    clock.advance(3_600_000);
    assert_eq!(
        granted(50, || limiter.admit_address(one)),
        10,
        "no more is saved up"
    );
}

#[test]
fn an_ipv6_network_is_one_client_and_a_mapped_address_is_its_own() {
    let (limiter, _) = limiter("requests_per_address_per_s = 10\n");
    let mut host = 0;
    let one_network = || {
        host += 1;
        limiter.admit_address(address(&format!("2001:db8:1:2::{host:x}")))
    };
    assert_eq!(granted(50, one_network), 10);
    assert!(limiter.admit_address(address("2001:db8:1:3::1")).is_ok());
    assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
}

#[test]
fn a_key_and_a_namespace_have_rates_of_their_own_and_renewals_pass() {
    let (limiter, _) = limiter("requests_per_key_per_s = 20\nrequests_per_namespace_per_s = 30\n");
    let ask = |key: &str, namespace: &str| limiter.admit_caller(key, Some(namespace), false);
    assert_eq!(granted(50, || ask("a", "one")), 20);
    assert_eq!(granted(50, || ask("b", "one")), 10, "the namespace is full");
    assert_eq!(
        granted(50, || ask("c", "two")),
        20,
        "others are not affected"
    );
    assert_eq!(
        granted(50, || limiter.admit_caller("a", Some("one"), true)),
        50
    );
    assert_eq!(granted(50, || limiter.admit_caller("d", None, false)), 20);
}

#[test]
fn no_limit_is_no_limit() {
    let (limiter, _) = limiter("requests_per_key_per_s = 0\n");
    assert_eq!(
        granted(9_000, || limiter.admit_caller("a", None, false)),
        9_000
    );
}

#[test]
fn watches_and_waits_are_counted_while_they_last() {
    let (limiter, _) = limiter("watches_per_key_max = 2\nwaits_per_namespace_max = 3\n");
    let namespace = |text: &str| text.parse::<NamespaceName>().unwrap();
    let first = limiter.watch("a", &namespace("one")).unwrap();
    let _second = limiter.watch("a", &namespace("two")).unwrap();
    let refused = limiter.watch("a", &namespace("three")).unwrap_err();
    assert_eq!(refused.kind, FailureKind::RateLimited);
    assert_eq!(refused.retry_after_ms, Some(1_000));
    assert_eq!(limiter.metrics.watches().get(), 2);
    assert!(limiter.watch("b", &namespace("one")).is_ok());
    drop(first);
    assert!(limiter.watch("a", &namespace("three")).is_ok());

    let waits = ["a", "b", "c"].map(|key| limiter.wait(key, &namespace("one")).unwrap());
    assert!(limiter.wait("d", &namespace("one")).is_err());
    assert!(limiter.wait("d", &namespace("two")).is_ok());
    drop(waits);
    assert!(limiter.wait("d", &namespace("one")).is_ok());
    assert_eq!(limiter.metrics.waits().get(), 0);
}

#[test]
fn failures_of_one_address_are_throttled_and_those_of_others_are_not() {
    let (limiter, clock) = limiter("failed_authentications_per_address_per_s = 2\n");
    let (bad, good) = (address("10.0.0.1"), address("10.0.0.2"));
    assert!(!limiter.has_failed_too_often(bad));
    assert_eq!(
        granted(100, || limiter.failed(bad)),
        20,
        "ten seconds' worth"
    );
    assert!(limiter.has_failed_too_often(bad) && !limiter.has_failed_too_often(good));
    clock.advance(1_000);
    assert!(!limiter.has_failed_too_often(bad));
    assert_eq!(granted(100, || limiter.failed(bad)), 2);
}

#[test]
fn many_clients_cost_no_more_memory_than_one() {
    let rates = Rates::<str>::new(10, 1);
    let now = Duration::from_secs(1);
    let refused = (0..200_000).filter(|n| rates.take(&n.to_string(), now).is_err());
    // Three to a bucket: of ten tokens hardly any bucket runs out.
    assert!(refused.count() < 200_000 / 100);
    assert_eq!(rates.bytes(), RATE_BUCKETS * 8);
}

fn headers(name: &'static str, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_str(line).unwrap());
    }
    headers
}

#[test]
fn only_trusted_proxies_are_believed_and_only_as_far_as_they_reach() {
    let trusting = |report: &str| {
        let text = format!(
            "[listen.proxies]\ntrusted = [\"10.1.0.0/16\", \"fd00::1\"]\nreport = \"{report}\"\n"
        );
        Proxies::new(&config(&text).listen.proxies)
    };
    let forwarded = trusting("forwarded");
    let client = |peer: &str, lines: &[&str]| {
        let headers = headers("forwarded", lines);
        forwarded
            .client_of(peer.parse().unwrap(), &headers)
            .0
            .to_string()
    };
    assert_eq!(client("192.0.2.9", &["for=198.51.100.1"]), "192.0.2.9");
    assert_eq!(client("10.1.2.3", &["for=198.51.100.1"]), "198.51.100.1");
    assert_eq!(
        client("::ffff:10.1.2.3", &["for=198.51.100.1"]),
        "198.51.100.1"
    );
    assert_eq!(
        client("fd00::1", &["proto=https;For=\"[2001:db8::7]:4711\";by=x"]),
        "2001:db8::7"
    );
    assert_eq!(
        client("10.1.2.3", &["for=\"198.51.100.1:80\""]),
        "198.51.100.1"
    );
    // What the client itself has written stands before what the proxies have.
    let spoofed = ["for=127.0.0.1, for=198.51.100.1", "for=10.1.9.9"];
    assert_eq!(client("10.1.2.3", &spoofed), "198.51.100.1");
    assert_eq!(
        client("10.1.2.3", &["for=\"a, for=127.0.0.1\", for=198.51.100.1"]),
        "198.51.100.1"
    );
    assert_eq!(
        client("10.1.2.3", &["for=198.51.100.1, for=unknown"]),
        "10.1.2.3"
    );
    assert_eq!(
        client("10.1.2.3", &["for=_hidden, for=10.1.0.7"]),
        "10.1.0.7"
    );
    assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");

    let listed = trusting("x-forwarded-for");
    let lines = headers("x-forwarded-for", &["127.0.0.1, 198.51.100.1", "10.1.0.1"]);
    let peer = "10.1.2.3".parse().unwrap();
    assert_eq!(listed.client_of(peer, &lines).0.to_string(), "198.51.100.1");

    let at_the_beginning = trusting("proxy-protocol");
    assert!(at_the_beginning.begins_with_header(peer) && !forwarded.begins_with_header(peer));
    assert_eq!(at_the_beginning.client_of(peer, &lines).0, peer);
}

#[test]
fn networks_that_are_none_are_refused() {
    for bad in ["10.0.0.0/33", "localhost", "", "10.0.0.1/"] {
        let text = format!("[listen.proxies]\ntrusted = [\"{bad}\"]\n");
        assert!(Config::parse(&text).is_err(), "{bad}");
    }
}
