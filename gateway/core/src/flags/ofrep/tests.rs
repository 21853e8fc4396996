use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::FLAG_ANSWER_BYTES_MAX;

use super::*;
use crate::config::FlagServiceAuth;
use crate::flags::FlagLimit;
use crate::flags::fixture::Server;
use crate::flags::fixture::settings;

struct Fixture {
    server: Server,
    source: OfrepSource,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn open(auth: FlagServiceAuth) -> Self {
        let server = Server::start().await;
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "secret\n").unwrap();
        let settings = FlagService {
            key_file: Some(key),
            auth,
            ..settings(&server)
        };
        let clock = Arc::new(ManualClock::new(WallMillis(784_111_777_000)));
        let metrics = Arc::new(Metrics::new());
        let source = OfrepSource::new(&settings, clock.clone(), metrics.clone()).unwrap();
        Self {
            server,
            source,
            clock,
            metrics,
            _folder: folder,
        }
    }

    /// Looks after so many milliseconds. Returns what flag `a` allows, and why it is not newer.
    async fn look(&self, after_ms: u64) -> (FlagLimit, Option<String>) {
        self.clock.advance(after_ms);
        self.source.look(&["a".to_owned()].into()).await;
        let snapshot = self.source.snapshot();
        let problem = snapshot.status("a", self.clock.monotonic()).problem;
        (snapshot.limit(Some("a")), problem)
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.metrics.encode(&[], &[])).unwrap()
    }

    fn polls(&self, outcome: &str) -> bool {
        let line = format!("leasehold_flag_polls_total{{outcome=\"{outcome}\"}}");
        self.metrics().contains(&line)
    }
}

fn share(share: u32) -> FlagLimit {
    FlagLimit { share, hold: false }
}

#[tokio::test]
async fn it_asks_for_all_flags_with_its_key_and_then_only_for_changes() {
    let fixture = Fixture::open(FlagServiceAuth::Bearer).await;
    fixture.server.flag("10");
    assert_eq!(fixture.look(0).await, (share(10_000), None));
    // It is not due before the interval is over.
    assert_eq!(fixture.look(4_999).await, (share(10_000), None));
    fixture.server.answers("304 Not Modified", "", "");
    assert_eq!(fixture.look(1).await, (share(10_000), None));
    let age = fixture
        .source
        .snapshot()
        .status("a", fixture.clock.monotonic())
        .age;
    assert_eq!(age, Some(Duration::ZERO));
    let requests = fixture.server.requests();
    let [first, second] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert!(
        first.starts_with("POST /base/ofrep/v1/evaluate/flags HTTP/1.1\r\n"),
        "{first}"
    );
    assert!(
        first.contains("authorization: Bearer secret\r\n"),
        "{first}"
    );
    assert!(
        first.ends_with("{\"context\":{\"targetingKey\":\"leasehold\"}}"),
        "{first}"
    );
    assert!(!first.contains("if-none-match"), "{first}");
    assert!(second.contains("if-none-match: \"one\"\r\n"), "{second}");
    assert!(fixture.polls("answered") && fixture.polls("unchanged"));
    // With another set of flags, the answer before does not hold any more.
    fixture.server.flag("20");
    fixture
        .source
        .look(&["a", "b"].map(str::to_owned).into())
        .await;
    assert!(!fixture.server.requests()[2].contains("if-none-match"));
    assert_eq!(fixture.source.snapshot().limit(Some("a")), share(20_000));
    assert_eq!(fixture.source.snapshot().limit(Some("b")), FlagLimit::STOP);
}

#[tokio::test]
async fn a_key_can_be_sent_in_a_header_of_its_own_and_nothing_is_asked_without_a_flag() {
    let fixture = Fixture::open(FlagServiceAuth::ApiKey).await;
    fixture.source.look(&BTreeSet::new()).await;
    assert!(fixture.server.requests().is_empty());
    fixture.server.flag("true");
    assert_eq!(fixture.look(0).await, (FlagLimit::NONE, None));
    let request = fixture.server.requests().remove(0);
    assert!(request.contains("x-api-key: secret\r\n"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
    assert!(!format!("{:?}", fixture.source).contains("secret"));
}

#[tokio::test]
async fn a_pause_that_the_service_asks_for_is_kept() {
    let fixture = Fixture::open(FlagServiceAuth::Bearer).await;
    fixture.server.flag("10");
    fixture.look(0).await;
    fixture
        .server
        .answers("429 Too Many Requests", "retry-after: 30\r\n", "");
    let (limit, problem) = fixture.look(5_000).await;
    assert_eq!(limit, share(10_000));
    assert!(problem.unwrap().contains("429"));
    fixture.look(29_999).await;
    // Not even another flag shortens the pause.
    fixture
        .source
        .look(&["a", "b"].map(str::to_owned).into())
        .await;
    assert_eq!(fixture.server.requests().len(), 2);
    fixture.server.flag("20");
    assert_eq!(fixture.look(1).await, (share(20_000), None));
    assert!(fixture.polls("limited"));
}

#[tokio::test]
async fn the_last_answer_holds_after_every_kind_of_failure() {
    let fixture = Fixture::open(FlagServiceAuth::Bearer).await;
    let server = &fixture.server;
    server.flag("10");
    fixture.look(0).await;
    let large = format!(
        "{{\"flags\":[],\"x\":\"{}\"}}",
        "x".repeat(FLAG_ANSWER_BYTES_MAX)
    );
    let elsewhere = "location: http://127.0.0.1:1/\r\n";
    for (status, headers, body, outcome, told) in [
        ("500 Internal Server Error", "", "", "failed", "500"),
        ("401 Unauthorized", "", "", "refused", "401"),
        ("403 Forbidden", "", "", "refused", "403"),
        ("307 Temporary Redirect", elsewhere, "", "failed", "307"),
        ("200 OK", "", "<html>", "malformed", "not one of OFREP"),
        (
            "200 OK",
            "",
            &*large,
            "malformed",
            "more than 1048576 bytes",
        ),
        (
            "200 OK",
            "",
            "{\"flags\":[]}",
            "answered",
            "does not have the flag",
        ),
        (
            "200 OK",
            "",
            "{\"flags\":[{\"key\":\"a\"}]}",
            "answered",
            "no value",
        ),
    ] {
        server.answers(status, headers, body);
        let (limit, problem) = fixture.look(5_000).await;
        let problem = problem.unwrap();
        assert_eq!(limit, share(10_000), "{status} {problem}");
        assert!(problem.contains(told), "{status}: {problem}");
        assert!(fixture.polls(outcome), "{outcome}");
    }
    // No service at all.
    server.stop().await;
    let (limit, problem) = fixture.look(5_000).await;
    assert_eq!(limit, share(10_000));
    assert!(problem.is_some() && fixture.polls("unreachable"));
    let status = fixture
        .source
        .snapshot()
        .status("a", fixture.clock.monotonic());
    assert!(!status.stale);
    fixture.look(60_000).await;
    let status = fixture
        .source
        .snapshot()
        .status("a", fixture.clock.monotonic());
    assert!(status.stale && status.refuses(0).is_some());
    assert!(
        fixture
            .metrics()
            .contains("leasehold_flag_answer_age_seconds 65")
    );
}
