//! Compares candidates for the stored forms: postcard by the domain's own derives, minicbor by the
//! forms of this crate, prost by messages of the same fields. Prints bytes, and nanoseconds of one
//! thread to find out how many they are, to encode and to decode, conversions included.
//!
//! `cargo bench -p leasehold-stored --bench formats`

#[path = "formats/messages.rs"]
mod messages;
#[path = "formats/told.rs"]
mod told;
#[path = "formats/values.rs"]
mod values;

use std::fmt::Debug;
use std::hint::black_box;

use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Event;
use leasehold_domain::SystemClock;
use leasehold_stored::Formed;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::messages::Mirrored;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A number is the least of so many means over so many repetitions: what else the machine does
/// interrupts most of them, and not the least.
const ROUNDS: usize = 3_000;
const REPETITIONS: u32 = 100;

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn main() {
    println!(
        "{:<22} {:<9} {:>6} {:>10} {:>9} {:>9}",
        "", "", "bytes", "measure ns", "encode ns", "decode ns"
    );
    let (acquire, release) = values::cycle();
    compare("acquire entry", &acquire);
    compare("release entry", &release);
    let (granted, ended) = values::events();
    compare("granted event", &granted);
    compare("ended event", &ended);
    compare("record of a held lock", &values::record());
}

trait Compared:
    for<'a> Formed<'a> + Serialize + DeserializeOwned + Mirrored + PartialEq + Debug
{
}

impl Compared for Command {}
impl Compared for Event {}
impl Compared for values::Record {}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn compare<T: Compared>(what: &str, value: &T) {
    let postcard = Format {
        name: "postcard",
        measure: &|value: &T| {
            postcard::experimental::serialized_size(value).expect("it has a form")
        },
        encode: &|value| postcard::to_allocvec(value).expect("it has a form"),
        decode: &|bytes| postcard::from_bytes(bytes).expect("it was encoded"),
    };
    let ours = Format {
        name: "CBOR",
        measure: &|value: &T| leasehold_stored::size(&value.form()),
        encode: &leasehold_stored::encode,
        decode: &|bytes| leasehold_stored::decode(bytes).expect("it was encoded"),
    };
    let prost = Format {
        name: "prost",
        measure: &|value: &T| value.message().encoded_len(),
        encode: &|value| value.message().encode_to_vec(),
        decode: &|bytes| T::of(Message::decode(bytes).expect("it was encoded")),
    };
    for format in [postcard, ours, prost] {
        let bytes = (format.encode)(value);
        assert_eq!(bytes.len(), (format.measure)(value));
        assert_eq!(&(format.decode)(&bytes), value);
        println!(
            "{what:<22} {:<9} {:>6} {:>10} {:>9} {:>9}",
            format.name,
            bytes.len(),
            nanos(|| (format.measure)(value)),
            nanos(|| (format.encode)(value)),
            nanos(|| (format.decode)(&bytes)),
        );
    }
}

/// One candidate, for one type.
struct Format<'f, T> {
    name: &'static str,
    measure: &'f dyn Fn(&T) -> usize,
    encode: &'f dyn Fn(&T) -> Vec<u8>,
    decode: &'f dyn Fn(&[u8]) -> T,
}

/// Nanoseconds of one repetition.
fn nanos<T>(work: impl Fn() -> T) -> u128 {
    let clock = SystemClock::new();
    let mean = |_| {
        let begun = clock.monotonic();
        for _ in 0..REPETITIONS {
            black_box(work());
        }
        (clock.monotonic() - begun).as_nanos() / u128::from(REPETITIONS)
    };
    (0..ROUNDS).map(mean).min().unwrap_or_default()
}
