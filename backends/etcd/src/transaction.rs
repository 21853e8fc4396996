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

/// Operations in one list of a transaction at most. etcd takes 128 by default, of which an inner
/// list may have only what the outer one leaves.
const OPERATIONS_MAX: usize = 120;
/// Operations of an inner list, where one part alone has more than fit.
const CHUNK: usize = 64;
/// The largest request that is sent. etcd takes 1.5 MiB by default.
pub(crate) const REQUEST_BYTES_MAX: usize = 1_400_000;

/// What a group asks for.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) compares: Vec<Compare>,
    pub(crate) operations: Vec<Operation>,
    /// Whether it deletes a record.
    pub(crate) forgets: bool,
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

/// The transaction of some parts; none if it is larger than etcd takes.
pub(crate) fn of(parts: Vec<Part>, keys: &Keys, writer: u64) -> Option<TxnRequest> {
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
            compare: part.compares,
            success: listed(part.operations).into_iter().chain(common).collect(),
            failure: vec![Operation::Range(one(keys.head())).into()],
        },
        Err(parts) => {
            let parts = parts.into_iter().map(|part| {
                RequestOp::from(Operation::Txn(TxnRequest {
                    compare: part.compares,
                    success: part.operations.into_iter().map(RequestOp::from).collect(),
                    failure: Vec::new(),
                }))
            });
            TxnRequest {
                success: parts.chain(common).collect(),
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

/// The operations of one part; in lists of their own if there are too many for one.
fn listed(operations: Vec<Operation>) -> Vec<RequestOp> {
    let mut listed: Vec<RequestOp> = operations.into_iter().map(RequestOp::from).collect();
    if listed.len() <= OPERATIONS_MAX {
        return listed;
    }
    let mut lists = Vec::new();
    while !listed.is_empty() {
        let rest = listed.split_off(listed.len().min(CHUNK));
        let list = TxnRequest {
            success: std::mem::replace(&mut listed, rest),
            ..TxnRequest::default()
        };
        lists.push(Operation::Txn(list).into());
    }
    lists
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

    #[test]
    fn transactions_are_no_larger_than_etcd_takes() {
        let keys = Keys::new("/".to_owned());
        for sizes in [vec![1], vec![101], vec![1_002], vec![101; 16], vec![1; 17]] {
            let parts = sizes.iter().map(|size| part(*size)).collect();
            let txn = of(parts, &keys, 1).unwrap();
            assert!(fits(&txn, 128), "{sizes:?}");
        }
        let mut huge = part(1);
        huge.operations.push(Operation::Put(PutRequest {
            value: vec![0; 1_500_000].into(),
            ..PutRequest::default()
        }));
        assert_eq!(of(vec![huge], &keys, 1), None);
    }
}
