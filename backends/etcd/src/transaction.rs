//! Transactions: what is asked of etcd in one, and what it answered.
//!
//! Each part is a transaction inside the transaction, with conditions of its own. Besides the
//! parts, every transaction that writes puts the head. That needs no condition, so nobody fights
//! for it; and the answer tells which revision the head had before: that of the last write of
//! anybody. So whoever writes knows whether it has missed something, without asking.

use prost::Message;
use prost::bytes::Bytes;

use leasehold_backend_api::BackendError;

use crate::error;
use crate::keys::Keys;
use crate::proto::Compare;
use crate::proto::Operation;
use crate::proto::Performed;
use crate::proto::PutRequest;
use crate::proto::RangeRequest;
use crate::proto::RequestOp;
use crate::proto::ResponseOp;
use crate::proto::TxnRequest;
use crate::proto::TxnResponse;

/// Operations, or conditions, in one list of a transaction at most, by etcd's default. Inner lists
/// may have only what the lists around them leave: the longest on each level count together.
const OPERATIONS_MAX: usize = 128;
/// A list that lists lists may be so long, unless it has as many conditions anyway.
const LISTS_MAX: usize = OPERATIONS_MAX / 2;
/// The largest request that is sent. etcd takes 1.5 MiB by default.
pub(crate) const REQUEST_BYTES_MAX: usize = 1_400_000;

/// What a group asks for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    pub(crate) compares: Vec<Compare>,
    pub(crate) operations: Vec<Operation>,
    /// Whether it deletes a record.
    pub(crate) forgets: bool,
    /// Whether it would make a lock larger than one write can undo.
    pub(crate) is_too_large: bool,
}

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The revision at which it was carried out.
    pub(crate) revision: i64,
    /// The head's last change before it.
    pub(crate) head: i64,
    /// Which parts hold.
    pub(crate) held: Vec<bool>,
    /// Whether it has put the head itself.
    pub(crate) moved_head: bool,
}

/// The transaction of some parts; none if it is larger, or has more operations, than etcd takes.
pub(crate) fn of(parts: Vec<Part>, keys: &Keys, writer: u64) -> Option<TxnRequest> {
    if parts.iter().any(|part| part.is_too_large) {
        return None;
    }
    let forgets = parts.iter().any(|part| part.forgets);
    let mut common = Vec::new();
    if forgets {
        common.push(put(keys.forgotten(), writer, false));
    }
    // Last, where the answer is looked for.
    common.push(put(keys.head(), writer, true));
    let only = <[Part; 1]>::try_from(parts);
    let request = match only {
        Ok([part]) => TxnRequest {
            failure: vec![Operation::Range(one(keys.head())).into()],
            ..of_part(part, OPERATIONS_MAX, common)?
        },
        Err(parts) => {
            let most = OPERATIONS_MAX.saturating_sub(parts.len() + common.len());
            let each = parts.into_iter().map(|part| {
                let inner = of_part(part, most, Vec::new())?;
                Some(RequestOp::from(Operation::Txn(inner)))
            });
            let each: Vec<RequestOp> = each.collect::<Option<_>>()?;
            TxnRequest {
                success: each.into_iter().chain(common).collect(),
                ..TxnRequest::default()
            }
        }
    };
    (request.encoded_len() <= REQUEST_BYTES_MAX).then_some(request)
}

/// The range of one key.
pub(crate) fn one(key: Bytes) -> RangeRequest {
    RangeRequest {
        key,
        ..RangeRequest::default()
    }
}

fn put(key: Bytes, writer: u64, prev_kv: bool) -> RequestOp {
    let value = Bytes::copy_from_slice(&writer.to_be_bytes());
    Operation::Put(PutRequest {
        key,
        value,
        prev_kv,
    })
    .into()
}

/// The transaction of one part, which ends with `common`. Operations are in lists of lists if they
/// are too many for one, and there is none if they are too many for that, too: `most` may be used on
/// all levels together.
fn of_part(part: Part, most: usize, common: Vec<RequestOp>) -> Option<TxnRequest> {
    let conditions = part.compares.len();
    let operations = part.operations.into_iter().map(RequestOp::from).collect();
    let listed = listed(operations, conditions, most, common.len())?;
    Some(TxnRequest {
        compare: part.compares,
        success: listed.into_iter().chain(common).collect(),
        failure: Vec::new(),
    })
}

fn listed(
    mut listed: Vec<RequestOp>,
    conditions: usize,
    most: usize,
    others: usize,
) -> Option<Vec<RequestOp>> {
    if listed.len() + others <= most {
        return Some(listed);
    }
    // The first level has the conditions beside it, and the others behind it.
    let first = conditions.max(LISTS_MAX.min(most / 2));
    let (first, inner) = (first.checked_sub(others)?, most.checked_sub(first)?);
    // As few levels below it as will do, all with lists of the same length.
    let length = |levels: usize| inner / levels;
    let holds = |levels: &usize| {
        let levels_max = u32::try_from(*levels).unwrap_or(u32::MAX);
        first.saturating_mul(length(*levels).saturating_pow(levels_max)) >= listed.len()
    };
    let levels = (1..=2).find(holds)?;
    for _ in 0..levels {
        let mut rest = listed.into_iter().peekable();
        listed = Vec::new();
        while rest.peek().is_some() {
            let list = TxnRequest {
                success: rest.by_ref().take(length(levels)).collect(),
                ..TxnRequest::default()
            };
            listed.push(Operation::Txn(list).into());
        }
    }
    Some(listed)
}

/// Reads the answer to a transaction of so many parts.
pub(crate) fn answered(answer: &TxnResponse, parts: usize) -> Result<Done, BackendError> {
    let misfit = || error::corrupt("transaction", "the answer does not fit the request");
    let header = answer.header.as_ref().ok_or_else(misfit)?;
    let last = answer.responses.last().and_then(|op| op.response.as_ref());
    let (head, moved_head) = match last.ok_or_else(misfit)? {
        Performed::Put(put) => (put.prev_kv.as_ref(), true),
        Performed::Range(range) => (range.kvs.first(), false),
        Performed::Delete(_) | Performed::Txn(_) => return Err(misfit()),
    };
    let inner = |op: &ResponseOp| match &op.response {
        Some(Performed::Txn(txn)) => Some(txn.succeeded),
        _ => None,
    };
    let held = match parts {
        1 => vec![answer.succeeded],
        _ => answer.responses.iter().map_while(inner).collect(),
    };
    match held.len() == parts {
        true => Ok(Done {
            revision: header.revision,
            head: head.map_or(0, |kv| kv.mod_revision),
            held,
            moved_head,
        }),
        false => Err(misfit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(operations: usize) -> Part {
        let put = |n: usize| {
            Operation::Put(PutRequest {
                key: Bytes::from(format!("k{n}")),
                ..PutRequest::default()
            })
        };
        Part {
            compares: vec![Compare::unchanged(Bytes::from_static(b"k"), 0)],
            operations: (0..operations).map(put).collect(),
            forgets: false,
            is_too_large: false,
        }
    }

    /// As etcd counts them: a list may have what the lists around it leave.
    fn fits(txn: &TxnRequest, most: usize) -> bool {
        let longest = txn
            .compare
            .len()
            .max(txn.success.len())
            .max(txn.failure.len());
        let inner = |op: &RequestOp| match &op.request {
            Some(Operation::Txn(inner)) => fits(inner, most - longest),
            _ => true,
        };
        longest <= most && txn.success.iter().all(inner)
    }

    fn puts(txn: &TxnRequest) -> usize {
        let inner = |op: &RequestOp| match &op.request {
            Some(Operation::Txn(inner)) => puts(inner),
            _ => 1,
        };
        txn.success.iter().map(inner).sum()
    }

    #[test]
    fn transactions_are_no_larger_than_etcd_takes() {
        let keys = Keys::new("/".to_owned());
        let (mut contended, mut crowd) = (part(200), vec![1; 17]);
        contended.compares = vec![contended.compares[0].clone(); 102];
        crowd[0] = 5_000;
        for sizes in [
            vec![1],
            vec![101],
            vec![1_002],
            vec![9_000],
            vec![101; 16],
            crowd,
        ] {
            let parts: Vec<Part> = sizes.iter().map(|size| part(*size)).collect();
            let operations = of(parts, &keys, 1).map(|txn| (fits(&txn, 128), puts(&txn)));
            assert_eq!(
                operations,
                Some((true, sizes.iter().sum::<usize>() + 1)),
                "{sizes:?}"
            );
        }
        for others in [0, 16] {
            let mut parts = vec![contended.clone()];
            parts.extend((0..others).map(|_| part(3)));
            let txn = of(parts, &keys, 1).unwrap();
            assert_eq!((fits(&txn, 128), puts(&txn)), (true, 201 + 3 * others));
        }
        assert!(of(vec![part(100_000)], &keys, 1).is_none());
        let mut huge = part(1);
        huge.operations.push(Operation::Put(PutRequest {
            value: vec![0; 1_500_000].into(),
            ..PutRequest::default()
        }));
        assert_eq!(of(vec![huge], &keys, 1), None);
    }
}
