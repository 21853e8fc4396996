//! Compares candidates for the stored forms: postcard by the domain's own derives, minicbor by the
//! forms of this crate, prost by messages of the same fields. Prints bytes, and nanoseconds of one
//! thread to encode and to decode, conversions included.
//!
//! `cargo bench -p leasehold-stored --bench formats`

#[path = "formats/messages.rs"]
mod messages;
#[path = "formats/values.rs"]
mod values;

use std::hint::black_box;

use leasehold_domain::Clock;
use leasehold_domain::Command;
use leasehold_domain::Event;
use leasehold_domain::SystemClock;
use leasehold_stored::Formed;
use prost::Message;

use crate::messages::Mirrored;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A number is the least of so many means over so many repetitions: what else the machine does
/// interrupts most of them, and not the least.
const ROUNDS: usize = 3_000;
const REPETITIONS: u32 = 100;

fn main() {
    println!(
        "{:<22} {:<9} {:>6} {:>9} {:>9}",
        "", "", "bytes", "encode ns", "decode ns"
    );
    let (acquire, release) = values::cycle();
    compare("acquire entry", &acquire);
    compare("release entry", &release);
    let (granted, ended) = values::events();
    compare("granted event", &granted);
    compare("ended event", &ended);
    let record = values::record();
    let bytes = leasehold_stored::encode(&record);
    row(
        "record of a held lock",
        "minicbor",
        bytes.len(),
        || leasehold_stored::encode(&record),
        || leasehold_stored::decode::<values::Record>(&bytes).expect("it was encoded"),
    );
    let bytes = postcard::to_allocvec(&record).expect("a form");
    row(
        "",
        "postcard",
        bytes.len(),
        || postcard::to_allocvec(&record).expect("a form"),
        || postcard::from_bytes::<values::Record>(&bytes).expect("it was encoded"),
    );
    let bytes = record.message().encode_to_vec();
    row(
        "",
        "prost",
        bytes.len(),
        || record.message().encode_to_vec(),
        || values::Record::of(Message::decode(&*bytes).expect("it was encoded")),
    );
}

trait Compared: for<'a> Formed<'a> + serde::Serialize + serde::de::DeserializeOwned + Mirrored {}

impl Compared for Command {}
impl Compared for Event {}

fn compare<T: Compared + PartialEq + std::fmt::Debug>(what: &str, value: &T) {
    let bytes = postcard::to_allocvec(value).expect("a form");
    row(
        what,
        "postcard",
        bytes.len(),
        || postcard::to_allocvec(value).expect("a form"),
        || postcard::from_bytes::<T>(&bytes).expect("it was encoded"),
    );
    let bytes = leasehold_stored::encode(value);
    assert_eq!(
        &leasehold_stored::decode::<T>(&bytes).expect("it was encoded"),
        value
    );
    row(
        "",
        "minicbor",
        bytes.len(),
        || leasehold_stored::encode(value),
        || leasehold_stored::decode::<T>(&bytes).expect("it was encoded"),
    );
    let bytes = value.message().encode_to_vec();
    let decoded = || T::of(Message::decode(&*bytes).expect("it was encoded"));
    assert_eq!(&decoded(), value);
    row(
        "",
        "prost",
        bytes.len(),
        || value.message().encode_to_vec(),
        decoded,
    );
}

fn row<A, B>(
    what: &str,
    format: &str,
    bytes: usize,
    encode: impl Fn() -> A,
    decode: impl Fn() -> B,
) {
    let (encode, decode) = (nanos(encode), nanos(decode));
    println!("{what:<22} {format:<9} {bytes:>6} {encode:>9} {decode:>9}");
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
