use proptest::prelude::*;

use super::*;

const STALE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn evaluation(share: u32) -> Evaluation {
    Evaluation {
        limit: FlagLimit { share, hold: false },
        value: share.to_string(),
        variant: Some("v".to_owned()),
        reason: None,
    }
}

fn wanted() -> BTreeSet<String> {
    ["a".to_owned()].into()
}

fn says(result: Result<Evaluation, String>) -> Evaluations {
    [("a".to_owned(), result)].into()
}

#[test]
fn nothing_is_allowed_before_the_first_answer_and_without_a_flag_service() {
    for snapshot in [
        FlagSnapshot::default(),
        FlagSnapshot::empty(STALE).with_flags(&wanted()),
        FlagSnapshot::empty(STALE)
            .with_flags(&wanted())
            .failed("refused".to_owned()),
    ] {
        assert_eq!(snapshot.limit(Some("a")), FlagLimit::STOP);
        assert_eq!(snapshot.limit(None), FlagLimit::NONE);
        let status = snapshot.status("a", at(1));
        assert!(status.stale);
        let refused = status.refuses(0).unwrap();
        assert!(refused.contains("no answer yet"), "{refused}");
    }
    let without = FlagSnapshot::default().status("a", at(1));
    assert!(without.problem.unwrap().contains("rollouts.flag_service"));
}

#[test]
fn the_last_answer_holds_and_goes_stale() {
    let empty = FlagSnapshot::empty(STALE).with_flags(&wanted());
    let first = empty.answered(says(Ok(evaluation(10_000))), at(10));
    assert_eq!(first.status("a", at(70)).refuses(10_000), None);
    let refused = first.status("a", at(70)).refuses(10_001).unwrap();
    assert_eq!(refused, "flag a holds it: at most 10 %");
    // Neither a failure nor a flag without a value changes what it allows.
    for after in [
        first.clone().failed("refused".to_owned()),
        first.answered(says(Err("gone".to_owned())), at(20)),
    ] {
        assert_eq!(after.limit(Some("a")).share, 10_000);
        let status = after.status("a", at(71));
        assert!(status.stale && status.problem.is_some(), "{status}");
        assert!(status.refuses(0).unwrap().contains("61000 ms old"));
    }
}

#[test]
fn an_unchanged_answer_confirms_what_it_had_and_not_what_it_lacked() {
    let empty = FlagSnapshot::empty(STALE).with_flags(&wanted());
    let first = empty.answered(says(Ok(evaluation(10_000))), at(10));
    let confirmed = first.clone().failed("away".to_owned()).confirmed(at(100));
    let status = confirmed.status("a", at(101));
    assert_eq!((status.age, status.stale), (Some(at(1)), false));
    assert_eq!(status.problem, None);
    let gone = first.answered(says(Err("gone".to_owned())), at(20));
    let status = gone.confirmed(at(100)).status("a", at(101));
    assert_eq!((status.age, status.stale), (Some(at(91)), true));
    assert_eq!(status.problem.as_deref(), Some("gone"));
}

#[test]
fn a_flag_that_is_wanted_again_starts_without_an_answer() {
    let empty = FlagSnapshot::empty(STALE).with_flags(&wanted());
    let known = empty.answered(says(Ok(evaluation(100_000))), at(10));
    let again = known.with_flags(&BTreeSet::new()).with_flags(&wanted());
    assert_eq!(again.limit(Some("a")), FlagLimit::STOP);
}

/// What may happen to a snapshot.
#[derive(Debug, Clone)]
enum Happening {
    Answer(u32),
    NoValue,
    Unchanged,
    Failure,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        (0..=100_000_u32).prop_map(Happening::Answer),
        Just(Happening::NoValue),
        Just(Happening::Unchanged),
        Just(Happening::Failure),
    ]
}

proptest! {
    #[test]
    fn a_share_is_widened_by_a_usable_answer_alone(
        happenings in prop::collection::vec(happening(), 0..20),
        approved in 0..=100_000_u32,
    ) {
        let mut snapshot = FlagSnapshot::empty(STALE).with_flags(&wanted());
        for (second, happening) in happenings.into_iter().enumerate() {
            let before = snapshot.limit(Some("a")).narrow(approved);
            let now = at(second as u64);
            let answered = match &happening {
                Happening::Answer(share) => Some(*share),
                _ => None,
            };
            snapshot = match happening {
                Happening::Answer(share) => snapshot.answered(says(Ok(evaluation(share))), now),
                Happening::NoValue => snapshot.answered(says(Err("gone".to_owned())), now),
                Happening::Unchanged => snapshot.confirmed(now),
                Happening::Failure => snapshot.failed("away".to_owned()),
            };
            let after = snapshot.limit(Some("a")).narrow(approved);
            prop_assert!(after <= approved);
            match answered {
                Some(share) => prop_assert_eq!(after, share.min(approved)),
                None => prop_assert_eq!(after, before),
            }
        }
    }
}
