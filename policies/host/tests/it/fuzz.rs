//! Thousands of broken modules, made from the corpus in `tests/corpus` and from whole policies by
//! fixed seeds: each is loaded or refused in bounded time, and none ends the process.

use std::path::Path;
use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_host::PolicyEngine;
use leasehold_policy_host::stock;

use crate::guest::Guest;
use crate::guest::engine;
use crate::upload;

/// Mutants of bytes; most are refused within a fraction of a millisecond.
const BYTE_MUTANTS: u64 = 2_000;
/// Mutants of text, of which a fifth are valid components.
const TEXT_MUTANTS: u64 = 600;
/// Changes to one mutant.
const CHANGES_MAX: usize = 4;
/// Longest that any of them may take, on a busy machine.
const MUTANT_WITHIN: Duration = Duration::from_secs(10);

/// A generator whose sequence depends on its seed alone (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        (high as usize) % sides.max(1)
    }

    /// A part of what has this length, short more often than long.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.roll(length);
        let most = 1 << self.roll(8);
        start..(start + 1 + self.roll(most)).min(length)
    }
}

fn texts() -> Vec<String> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(corpus)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut texts: Vec<String> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("a text"))
        .collect();
    texts.push(Guest::default().wat());
    texts
}

fn mutated_bytes(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut wasm = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(CHANGES_MAX) {
        let range = dice.range(wasm.len());
        match dice.roll(6) {
            0 => wasm[range.start] ^= 1 << dice.roll(8),
            1 => wasm[range.start] = [0, 1, 0x7f, 0x80, 0xff][dice.roll(5)],
            2 => drop(wasm.drain(range)),
            3 => {
                let copy = wasm[range.clone()].to_vec();
                wasm.splice(range.start..range.start, copy);
            }
            4 => {
                let other = &seeds[dice.roll(seeds.len())];
                let part = other[dice.range(other.len())].to_vec();
                wasm.splice(range, part);
            }
            // A number of five bytes, as sizes and counts are.
            _ => drop(wasm.splice(range, [0xff, 0xff, 0xff, 0xff, 0x0f])),
        }
        if wasm.is_empty() {
            break;
        }
    }
    wasm
}

/// All parts of a text that stand in parentheses, as ranges.
fn expressions(text: &str) -> Vec<std::ops::Range<usize>> {
    let (mut open, mut found) = (Vec::new(), Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open.push(at),
            b')' => {
                if let Some(start) = open.pop() {
                    found.push(start..at + 1);
                }
            }
            _ => {}
        }
    }
    found
}

/// The text with whole expressions doubled, removed or replaced by others.
fn mutated_text(seeds: &[String], dice: &mut Dice) -> String {
    let mut text = seeds[dice.roll(seeds.len())].clone();
    for _ in 0..=dice.roll(CHANGES_MAX) {
        let all = expressions(&text);
        if all.is_empty() {
            break;
        }
        let range = all[dice.roll(all.len())].clone();
        let part = text[range.clone()].to_owned();
        match dice.roll(4) {
            0 => text.replace_range(range, ""),
            1 => text.insert_str(range.start, &part),
            2 => {
                let other = all[dice.roll(all.len())].clone();
                let other = text[other].to_owned();
                text.replace_range(range, &other);
            }
            _ => {
                let words = [
                    "u8", "u64", "string", "i32", "i64", "f32", "v128", "funcref",
                ];
                let (from, to) = (words[dice.roll(8)], words[dice.roll(8)]);
                text.replace_range(range, &part.replacen(from, to, 1));
            }
        }
    }
    text
}

fn load(engine: &PolicyEngine, clock: &SystemClock, wasm: &[u8], which: (&str, u64)) {
    let began = clock.monotonic();
    upload::load(engine, wasm);
    let took = clock.monotonic() - began;
    assert!(took < MUTANT_WITHIN, "{which:?}: {took:?}");
}

#[test]
fn broken_bytes_are_refused_and_end_nothing() {
    let (engine, clock) = (engine(), SystemClock::new());
    let mut seeds: Vec<Vec<u8>> = stock::MODULES
        .iter()
        .map(|(_, wasm)| wasm.to_vec())
        .collect();
    let parsed = texts()
        .into_iter()
        .map(|text| wat::parse_str(text).expect("it parses"));
    seeds.extend(parsed);
    for seed in 0..BYTE_MUTANTS {
        let wasm = mutated_bytes(&seeds, &mut Dice::new(seed));
        load(&engine, &clock, &wasm, ("bytes", seed));
    }
    assert!(engine.compile(&Guest::default().wasm()).is_ok());
}

#[test]
fn broken_structure_is_refused_and_ends_nothing() {
    let (engine, clock) = (engine(), SystemClock::new());
    let seeds = texts();
    let mut parsed = 0;
    for seed in 0..TEXT_MUTANTS {
        let text = mutated_text(&seeds, &mut Dice::new(seed));
        if let Ok(wasm) = wat::parse_str(&text) {
            parsed += 1;
            load(&engine, &clock, &wasm, ("text", seed));
        }
    }
    assert!(parsed > TEXT_MUTANTS / 20, "only {parsed} are components");
    assert!(engine.compile(&Guest::default().wasm()).is_ok());
}
