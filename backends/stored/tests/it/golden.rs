//! The committed bytes of every form, in `golden/level-1.txt`: form and variant, the numbers of the
//! fields that must be there, and the bytes of a full sample.
//!
//! If a test here fails, stored data and running peers of other builds are at stake. Bytes of a
//! form that was released never change. A form gets a field by a new last number, as an option or
//! with a default, and its line of this level stays and must still be read.
//! `LEASEHOLD_UPDATE=1` writes the file anew, which is right only before the first release.

use std::collections::BTreeMap;
use std::fmt::Debug;

use leasehold_stored::Form;

use crate::forms;
use crate::layout::Layout;
use crate::layout::NULL;
use crate::layout::Visitor;
use crate::layout::decoded;
use crate::layout::encoded;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/level-1.txt");

/// Lines of the file by what is in front of the colon.
#[derive(Debug, Default, PartialEq)]
struct Lines(BTreeMap<String, String>);

/// The numbers of the fields without which the bytes are refused.
fn required<F: Form<'static>>(layout: &Layout) -> Vec<usize> {
    let without = |number: &usize| {
        let mut less = layout.clone();
        less.fields[*number] = vec![NULL];
        decoded::<F>(less.bytes()).is_none()
    };
    (0..layout.fields.len()).filter(without).collect()
}

/// What stands in front of the colon: the form, and the variant if it is a choice.
fn key(name: &str, kind: &str, sample: &impl Debug) -> String {
    if kind == "structure" {
        return name.to_owned();
    }
    let shown = format!("{sample:?}");
    let variant = shown.split(|c: char| !c.is_alphanumeric()).next();
    format!("{name}::{}", variant.unwrap_or_default())
}

impl Visitor for Lines {
    fn form<F>(&mut self, name: &str, kind: &str, samples: Vec<F>)
    where
        F: Form<'static> + PartialEq + Debug,
    {
        for sample in samples {
            let bytes = encoded(&sample);
            let needs = required::<F>(&Layout::of(kind, bytes));
            let line = format!("{needs:?} {}", hex::encode(bytes));
            self.0.insert(key(name, kind, &sample), line);
        }
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a maintainer's own switch, as for the API's text"
)]
fn the_bytes_of_every_form_are_the_committed_ones() {
    let mut ours = Lines::default();
    forms::visit(&mut ours);
    if std::env::var("LEASEHOLD_UPDATE").is_ok() {
        let lines = ours
            .0
            .iter()
            .map(|(form, line)| format!("{form}: {line}\n"));
        std::fs::write(GOLDEN, lines.collect::<String>()).expect("it can be written");
    }
    let text = std::fs::read_to_string(GOLDEN).expect("it is committed");
    let lines = text.lines().map(|line| {
        let (form, rest) = line.split_once(": ").expect("a colon");
        (form.to_owned(), rest.to_owned())
    });
    let committed: BTreeMap<_, _> = lines.collect();
    for (form, line) in &committed {
        assert_eq!(ours.0.get(form), Some(line), "{form}");
    }
    assert_eq!(
        ours.0.len(),
        committed.len(),
        "a form has no committed bytes"
    );
}

/// Reads the committed bytes of each form, as they are and as other builds would have written them.
struct Reads {
    committed: BTreeMap<String, Vec<u8>>,
    seen: usize,
}

fn reads() -> Reads {
    let text = std::fs::read_to_string(GOLDEN).expect("it is committed");
    let bytes = |line: &str| {
        let (form, rest) = line.split_once(": ").expect("a colon");
        let (_, digits) = rest.rsplit_once(' ').expect("bytes");
        (
            form.to_owned(),
            hex::decode(digits).expect("hexadecimal digits"),
        )
    };
    Reads {
        committed: text.lines().map(bytes).collect(),
        seen: 0,
    }
}

impl Visitor for Reads {
    fn form<F>(&mut self, name: &str, kind: &str, samples: Vec<F>)
    where
        F: Form<'static> + PartialEq + Debug,
    {
        for sample in samples {
            let key = key(name, kind, &sample);
            let bytes: &'static [u8] = Vec::leak(self.committed[&key].clone());
            let read: F = decoded(bytes).expect("committed bytes are read");
            assert_eq!(read, sample, "{key}");
            self.seen += 1;
            evolves(&key, &sample, &Layout::of(kind, bytes));
            for cut in 0..bytes.len() {
                assert_eq!(decoded::<F>(&bytes[..cut]), None, "{key} cut at {cut}");
            }
        }
    }
}

/// A form with fields of a later build, and one without the optional fields of this one.
fn evolves<F>(key: &str, sample: &F, layout: &Layout)
where
    F: Form<'static> + PartialEq + Debug,
{
    let mut later = layout.clone();
    // A number, an absent one, a text, and an array of arrays.
    let unknown: [&[u8]; 4] = [
        &[0x18, 0x2a],
        &[NULL],
        &[0x61, b'x'],
        &[0x82, 0x80, 0x81, 0x01],
    ];
    for field in unknown {
        later.fields.push(field.to_vec());
        let read: Option<F> = decoded(later.bytes());
        assert_eq!(read.as_ref(), Some(sample), "{key} with unknown fields");
    }
    let needs = required::<F>(layout);
    // Absent in their places, as a writer does that has later fields.
    let mut earlier = layout.clone();
    for (number, field) in earlier.fields.iter_mut().enumerate() {
        if !needs.contains(&number) {
            *field = vec![NULL];
        }
    }
    let sparse: F = decoded(earlier.bytes()).expect("no optional field is needed");
    // Cut off, as a writer does that does not know them.
    let known = needs.last().map_or(0, |last| last + 1);
    earlier.fields.truncate(known);
    let short: F = decoded(earlier.bytes()).expect("a form may end after what it needs");
    assert_eq!(sparse, short, "{key}");
    assert_eq!(
        decoded::<F>(encoded(&short)).as_ref(),
        Some(&short),
        "{key}"
    );
}

#[test]
fn builds_before_and_after_read_every_form() {
    let mut reads = reads();
    forms::visit(&mut reads);
    assert_eq!(reads.seen, reads.committed.len());
}
