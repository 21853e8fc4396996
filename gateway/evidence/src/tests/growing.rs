//! The tree against RFC 6962's examples and a second implementation.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use leasehold_domain::Digest;
use proptest::prelude::*;
use sha2::Sha256;

use super::Log;
use crate::Edge;
use crate::Growth;
use crate::check_consistency;
use crate::check_inclusion;
use crate::empty_root;
use crate::leaf_hash;
use crate::prove_consistency;
use crate::prove_inclusion;
use crate::root_at;
use crate::subtrees;

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

fn oracle(log: &Log, size: u64) -> Oracle {
    let mut tree = Oracle::new();
    for event in &log.events[..size as usize] {
        tree.push(event.clone().into_bytes());
    }
    tree
}

fn bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The leaves and roots of the test data of Certificate Transparency's first implementation.
#[test]
fn the_roots_are_those_of_certificate_transparency() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut growth = Growth::default();
    assert_eq!(growth.root(), empty_root());
    for (leaf, root) in leaves.iter().zip(roots) {
        growth.push(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(growth.root().to_string(), root);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn roots_and_proofs_are_those_of_another_implementation(
        size in 1_u64..1_400, other in any::<u64>(), leaf in any::<u64>()
    ) {
        let log = Log::of(1_400, "a");
        let (other, leaf) = (1 + other % size, leaf % size);
        let tree = oracle(&log, size);
        let root = root_at(&log, size).unwrap();
        let theirs = tree.root();
        prop_assert_eq!(&root.0[..], &theirs.as_bytes()[..]);
        let inclusion = prove_inclusion(&log, leaf, size).unwrap();
        let theirs = tree.prove_inclusion(leaf as usize);
        prop_assert_eq!(&bytes(&inclusion)[..], theirs.as_bytes());
        let hash = leaf_hash(log.events[leaf as usize].as_bytes());
        check_inclusion(&inclusion, (leaf, &hash), (size, &root)).unwrap();
        let consistency = prove_consistency(&log, other, size).unwrap();
        let old = root_at(&log, other).unwrap();
        check_consistency(&consistency, (other, &old), (size, &root)).unwrap();
        if other < size {
            let theirs = tree.prove_consistency((size - other) as usize);
            prop_assert_eq!(&bytes(&consistency)[..], theirs.as_bytes());
        }
    }

    /// Whatever somebody sends as a proof is refused, and nothing panics.
    #[test]
    fn made_up_proofs_are_refused(
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..140),
        leaf in any::<u64>(), old in any::<u64>(), size in any::<u64>()
    ) {
        let proof: Vec<_> = hashes.into_iter().map(Digest).collect();
        let (some, other) = (leaf_hash(b"a"), leaf_hash(b"b"));
        prop_assert!(check_inclusion(&proof, (leaf, &some), (size, &other)).is_err());
        prop_assert!(check_consistency(&proof, (old, &some), (size, &other)).is_err());
    }

    /// A tree that is put together of subtrees has the same root.
    #[test]
    fn subtrees_make_up_the_tree(from in 0_u64..700, more in 0_u64..700) {
        let log = Log::of(700, "a");
        let to = (from + more).min(700);
        let mut edge = Edge::default();
        for part in [0..from, from..to, to..700] {
            for (level, index) in subtrees(part.start, part.end) {
                let node = crate::node_hashes(&log, std::iter::once((level, index)), 700);
                edge.append(level, node.unwrap()[0]).unwrap();
            }
        }
        prop_assert_eq!(edge.root(), log.growth.root());
    }
}

#[test]
fn a_tree_goes_on_from_its_bytes() {
    // Two levels of tiles: the second is reached at 65,536 leaves.
    let mut whole = Growth::default();
    let mut resumed = Growth::default();
    for n in 0_u64..66_000 {
        if n % 4_999 == 0 {
            let bytes = resumed.to_bytes();
            resumed = Growth::from_bytes(&bytes).unwrap();
            assert_eq!(resumed.to_bytes(), bytes);
            assert_eq!(Growth::from_bytes(&bytes[1..]), None);
        }
        let leaf = leaf_hash(&n.to_be_bytes());
        assert_eq!(whole.push(leaf), resumed.push(leaf));
    }
    assert_eq!(whole, resumed);
    assert_eq!(whole.open_tile(2, 0).unwrap().len(), 1);
    assert_eq!(Growth::from_bytes(&[]), None);
}

#[test]
fn what_is_beyond_the_tree_is_refused() {
    let log = Log::of(5, "a");
    assert!(prove_inclusion(&log, 5, 5).is_err());
    assert!(prove_consistency(&log, 0, 5).is_err());
    assert!(prove_consistency(&log, 6, 5).is_err());
    assert_eq!(prove_consistency(&log, 5, 5).unwrap(), []);
    let mut edge = Edge::default();
    edge.push(empty_root(), |_, _| {});
    assert!(edge.append(1, empty_root()).is_err());
}
