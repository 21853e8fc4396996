use proptest::prelude::*;

use super::*;
use crate::canonical::arbitrary;

impl Chunk {
    /// What somebody who changes the file behind the ledger's back would store: the chains and
    /// the packed lines, after `edit`.
    pub(crate) fn edited(
        &self,
        edit: impl FnOnce(&mut Vec<(String, Digest)>),
    ) -> (Vec<u8>, Vec<u8>) {
        let mut events = self
            .events()
            .map(|(_, body, chain)| (body.to_owned(), chain))
            .collect();
        edit(&mut events);
        let mut filling = Filling::new();
        for (body, chain) in events {
            filling.lines.extend_from_slice(body.as_bytes());
            filling.lines.push(b'\n');
            filling.chains.extend_from_slice(&chain.0);
        }
        let (chains, bodies) = filling.pack();
        (chains.to_vec(), bodies.to_vec())
    }
}

fn packed(events: &[Event]) -> (Vec<u8>, Vec<u8>) {
    let mut filling = Filling::new();
    let mut chain = chain::START;
    for event in events {
        chain = filling.add("test", event, &chain).chain;
    }
    let (chains, bodies) = filling.pack();
    (chains.to_vec(), bodies.to_vec())
}

proptest! {
    #[test]
    fn events_come_back(events in proptest::collection::vec(arbitrary::event(), 1..40)) {
        let (chains, bodies) = packed(&events);
        let chunk = Chunk::read(7, &chains, &bodies).unwrap();
        let mut chain = chain::START;
        for (cursor, event) in (7..).zip(&events) {
            let mut body = Vec::new();
            canonical::write("test", event, &mut body);
            chain = chain::after(&chain, &body);
            prop_assert_eq!(chunk.get(cursor), Some((String::from_utf8(body).unwrap().into(), chain)));
            prop_assert_eq!(chain_at(7, &chains, cursor), Some(chain));
        }
        for outside in [6, 7 + events.len() as u64] {
            prop_assert_eq!(chunk.get(outside), None);
            prop_assert_eq!(chain_at(7, &chains, outside), None);
        }
    }

    #[test]
    fn damaged_bytes_do_no_harm(
        events in proptest::collection::vec(arbitrary::event(), 1..4),
        at: prop::sample::Index,
        byte: u8,
        cut: prop::sample::Index,
    ) {
        let (chains, mut bodies) = packed(&events);
        let at = at.index(bodies.len());
        bodies[at] = byte;
        Chunk::read(1, &chains, &bodies);
        bodies.truncate(cut.index(bodies.len()));
        Chunk::read(1, &chains, &bodies);
    }
}

#[test]
fn another_form_is_not_read() {
    let (chains, mut bodies) = packed(&[]);
    assert!(Chunk::read(1, &chains, &bodies).is_none(), "no events");
    let body = "{}\n";
    let mut table = CompressTable::small();
    bodies.truncate(1);
    bodies.extend_from_slice(&3_u32.to_le_bytes());
    let mut block = [0; 32];
    let length = compress_into_with_table(body.as_bytes(), &mut block, &mut table).unwrap();
    bodies.extend_from_slice(&block[..length]);
    assert_eq!(
        bodies,
        [1, 3, 0, 0, 0, 0x30, b'{', b'}', b'\n'],
        "the stored form is pinned"
    );
    assert!(Chunk::read(1, &[0; 32], &bodies).is_some());
    bodies[0] = 2;
    assert!(Chunk::read(1, &[0; 32], &bodies).is_none());
}
