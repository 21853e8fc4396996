//! Records in parts that one write takes.

use std::sync::Arc;

use leasehold_domain::LockRef;

/// Bytes of records in one write of a move, unless one record alone has more: etcd, which takes the
/// least, has room for them and their events.
const RECORD_BYTES_PER_WRITE: usize = 512 * 1_024;

/// A record on its way, as its old store has exported it.
pub(super) type Moved = (LockRef, Arc<[u8]>);

/// Records in parts that are each small enough for one write of any store.
pub(super) fn writes_of(records: Vec<Moved>) -> Vec<Vec<Moved>> {
    let mut writes: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for (lock, record) in records {
        bytes += record.len();
        match writes.last_mut() {
            Some(write) if bytes <= RECORD_BYTES_PER_WRITE => write.push((lock, record)),
            _ => {
                bytes = record.len();
                writes.push(vec![(lock, record)]);
            }
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_records_go_in_writes_of_their_own_and_none_is_left() {
        let sizes = [
            1,
            2,
            RECORD_BYTES_PER_WRITE,
            3,
            4,
            2 * RECORD_BYTES_PER_WRITE,
            5,
        ];
        let lock = |name: usize| format!("pay/l{name}").parse().unwrap();
        let record = |(name, size)| (lock(name), Arc::from(vec![0; size]));
        let writes = writes_of(sizes.into_iter().enumerate().map(record).collect());
        let of = |write: &Vec<(LockRef, Arc<[u8]>)>| -> Vec<usize> {
            write.iter().map(|(_, record)| record.len()).collect()
        };
        let written: Vec<_> = writes.iter().map(of).collect();
        let [_, _, full, _, _, huge, _] = sizes;
        let expected = [vec![1, 2], vec![full], vec![3, 4], vec![huge], vec![5]];
        assert_eq!(written, expected);
        assert!(writes_of(Vec::new()).is_empty());
    }
}
