//! Files that stand alone, and the same after somebody has changed them.

use proptest::prelude::*;

use super::Log;
use super::ORIGIN;
use super::key;
use super::keys;
use crate::Checkpoint;
use crate::Compared;
use crate::LogKey;
use crate::Report;
use crate::TrustedKeys;
use crate::VerifyError;
use crate::verify;

fn check(file: &str, earlier: Option<&str>) -> Result<Report, VerifyError> {
    verify(&mut file.as_bytes(), &keys(), earlier)
}

fn problem(file: &str, earlier: Option<&str>) -> String {
    check(file, earlier).unwrap_err().to_string()
}

#[test]
fn an_export_is_verified_against_its_checkpoint() {
    let log = Log::of(600, "a");
    for (from, to, size) in [
        (0, 600, 600),
        (0, 300, 600),
        (255, 257, 600),
        (300, 300, 599),
        (599, 600, 600),
    ] {
        let report = check(&log.export(from, to, size), None).unwrap();
        assert_eq!(report.events, (from < to).then_some((from + 1, to)));
        assert_eq!(report.is_whole, Some(to - from == size));
        assert_eq!(report.earlier_checkpoint, Compared::Nothing);
        assert!(
            report
                .to_string()
                .contains("no earlier checkpoint and no cosignature")
        );
    }
}

/// The line of an event in an export from the first: a header, and a line of hashes after each 256.
fn line_of(cursor: usize) -> usize {
    1 + cursor + (cursor - 1) / 256
}

#[test]
fn the_first_event_that_was_changed_is_named() {
    let export = Log::of(600, "a").export(0, 600, 600);
    let lines: Vec<&str> = export.split_inclusive('\n').collect();
    let without = |line: usize| [&lines[..line - 1], &lines[line..]].concat().concat();
    let edited = |cursor: usize| {
        let mut lines = lines.clone();
        let changed = lines[line_of(cursor) - 1].replace("\"a\"", "\"b\"");
        lines[line_of(cursor) - 1] = &changed;
        lines.concat()
    };
    for cursor in [1, 256, 257, 600] {
        let (line, problem) = (line_of(cursor), problem(&edited(cursor), None));
        let named = format!("not intact: line {line}, event {cursor}: it was changed");
        assert!(problem.starts_with(&named), "{problem}");
    }
    let deleted = problem(&without(line_of(300)), None);
    let named = "event 300: event 301 stands in its place";
    assert!(deleted.ends_with(named), "{deleted}");
    let mut swapped = lines.clone();
    swapped.swap(line_of(10) - 1, line_of(11) - 1);
    let swapped = problem(&swapped.concat(), None);
    assert!(
        swapped.ends_with("event 10: event 11 stands in its place"),
        "{swapped}"
    );
    let doubled = [&lines[..3], &lines[2..]].concat().concat();
    let doubled = problem(&doubled, None);
    assert!(
        doubled.ends_with("event 3: event 2 stands in its place"),
        "{doubled}"
    );
    let cut = lines[..400].concat();
    assert!(problem(&cut, None).contains("event 399: something else stands in its place"));
    let longer = export.clone() + lines[1];
    assert!(problem(&longer, None).contains("more events than its first line says"));
}

#[test]
fn an_export_whose_hashes_were_changed_too_is_of_another_history() {
    let (ours, forged) = (Log::of(600, "a"), Log::of(600, "b"));
    let (_, events) = ours
        .export(0, 600, 600)
        .split_once('\n')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let header = ours.export(0, 600, 600).lines().next().unwrap().to_owned();
    let forged_events = forged
        .export(0, 600, 600)
        .split_once('\n')
        .unwrap()
        .1
        .to_owned();
    assert!(check(&format!("{header}\n{events}"), None).is_ok());
    let problem = problem(&format!("{header}\n{forged_events}"), None);
    assert!(problem.contains("do not lead to the root"), "{problem}");
}

#[test]
fn an_earlier_checkpoint_finds_what_was_rolled_back_or_rewritten() {
    let (ours, forged) = (Log::of(600, "a"), Log::of(600, "b"));
    let earlier = ours.checkpoint(400);
    let grown = check(&ours.export(0, 600, 600), Some(&earlier)).unwrap();
    assert_eq!(grown.earlier_checkpoint, Compared::Grown);
    let part = check(&ours.export(500, 600, 600), Some(&earlier)).unwrap();
    assert_eq!(part.earlier_checkpoint, Compared::NotCovered);
    let rolled_back = problem(&ours.export(0, 300, 300), Some(&earlier));
    assert!(rolled_back.contains("it had 400 events at the earlier checkpoint, and has 300"));
    let rewritten = problem(&forged.export(0, 600, 600), Some(&earlier));
    assert!(
        rewritten.contains("its first 400 events had another root"),
        "{rewritten}"
    );
    let same_size = problem(&forged.checkpoint(400), Some(&earlier));
    assert!(
        same_size.contains("its first 400 events had another root"),
        "{same_size}"
    );
    let other = Checkpoint {
        origin: "another.example".to_owned(),
        ..Checkpoint::read_unverified(&earlier).unwrap()
    };
    let other = other.sign(&[key()]).unwrap();
    let both = TrustedKeys::parse(
        &[key().public(ORIGIN), key().public("another.example")],
        &[],
    );
    let problem = verify(
        &mut ours.export(0, 600, 600).as_bytes(),
        &both.unwrap(),
        Some(&other),
    );
    assert!(
        problem
            .unwrap_err()
            .to_string()
            .contains("is of the log another.example")
    );
}

#[test]
fn a_proof_file_stands_alone() {
    let log = Log::of(600, "a");
    for (index, size) in [(0, 1), (0, 600), (299, 300), (511, 600)] {
        let text = log.inclusion(index, size).to_text();
        let report = check(&text, None).unwrap();
        assert_eq!(
            (report.kind, report.events),
            ("inclusion", Some((index, index)))
        );
    }
    let mut moved = log.inclusion(5, 600);
    moved.index = 4;
    assert!(problem(&moved.to_text(), None).contains("not in this log at this place"));
    let mut changed = log.inclusion(5, 600);
    changed.event.push(' ');
    assert!(check(&changed.to_text(), None).is_err());
}

#[test]
fn a_consistency_proof_shows_growth_from_a_checkpoint() {
    let (ours, forged) = (Log::of(600, "a"), Log::of(600, "b"));
    let proof = ours.consistency(400, 600).to_text();
    let earlier = ours.checkpoint(400);
    assert_eq!(
        check(&proof, Some(&earlier)).unwrap().earlier_checkpoint,
        Compared::Grown
    );
    assert!(matches!(
        check(&proof, None),
        Err(VerifyError::NeedsEarlier)
    ));
    assert!(check(&proof, Some(&ours.checkpoint(399))).is_err());
    assert!(check(&forged.consistency(400, 600).to_text(), Some(&earlier)).is_err());
}

#[test]
fn a_checkpoint_counts_only_by_a_key_that_was_given() {
    let log = Log::of(10, "a");
    let checkpoint = Checkpoint::read_unverified(&log.checkpoint(10)).unwrap();
    let other = LogKey::from_secret(&[8; 32]);
    let forged = checkpoint.sign(&[LogKey::from_secret(&[8; 32])]).unwrap();
    let problem = problem(&forged, None);
    assert!(problem.ends_with(&format!("none of the given keys has signed it as {ORIGIN}")));
    // While a key is replaced, both sign: whoever has either goes on.
    let both = checkpoint
        .sign(&[key(), LogKey::from_secret(&[8; 32])])
        .unwrap();
    let old = check(&both, None).unwrap();
    let new = TrustedKeys::parse(&[other.public(ORIGIN)], &[]).unwrap();
    assert_eq!(verify(&mut both.as_bytes(), &new, None).unwrap(), old);
    // A key of another log does not speak for this one.
    let elsewhere = TrustedKeys::parse(&[key().public("another.example")], &[]).unwrap();
    assert!(verify(&mut forged.as_bytes(), &elsewhere, None).is_err());
    assert!(TrustedKeys::parse(&["a+b+c".to_owned()], &[]).is_err());
}

/// What was written once stays right: another form gets another name.
/// `LEASEHOLD_UPDATE=1` writes the files anew, which is right only before the first release.
#[test]
#[expect(clippy::disallowed_methods, reason = "not the gateway's configuration")]
fn files_are_written_as_before() {
    let log = Log::of(300, "a");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, text) in [
        ("log-key.txt", key().public(ORIGIN) + "\n"),
        ("earlier.txt", log.checkpoint(200)),
        ("export.jsonl", log.export(1, 299, 300)),
        ("event.tlog-proof", log.inclusion(77, 300).to_text()),
        ("growth.json", log.consistency(200, 300).to_text()),
    ] {
        let file = folder.join(name);
        if std::env::var("LEASEHOLD_UPDATE").is_ok() {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whichever bit of a file is flipped, it is not intact any more.
    #[test]
    fn a_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8, kind in 0..4) {
        let log = Log::of(300, "a");
        let earlier = log.checkpoint(200);
        let (file, earlier) = match kind {
            0 => (log.export(10, 290, 300), None),
            1 => (log.inclusion(77, 300).to_text(), None),
            2 => (log.consistency(200, 300).to_text(), Some(&*earlier)),
            _ => (log.checkpoint(300), None),
        };
        prop_assert!(verify(&mut file.as_bytes(), &keys(), earlier).is_ok());
        let mut flipped = file.into_bytes();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        prop_assert!(verify(&mut flipped.as_slice(), &keys(), earlier).is_err(), "byte {at}, bit {bit}");
    }
}
