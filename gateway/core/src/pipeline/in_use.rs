//! What hangs on a namespace: its leases and waiters, and the bindings that name it.

use leasehold_domain::ListQuery;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::limits;

use super::Pipeline;
use crate::failure::Failure;
use crate::failure::InUse;

impl Pipeline {
    /// Checks that a namespace may be deleted without harm: nobody holds a lock of it or waits for
    /// one, and no binding names it. It may be taken into use at any time after that.
    ///
    /// # Errors
    /// `conflict` with counts, there is no such namespace, or the store cannot answer.
    pub async fn check_unused(&self, name: &NamespaceName) -> Result<(), Failure> {
        let bindings = self.inner.governance.bindings().await?;
        let bindings = bindings.into_iter().map(|stored| stored.document);
        let naming = bindings.filter(|binding| {
            let mut named = binding.namespaces.iter();
            named.any(|named| named == name.as_str())
        });
        let used = InUse {
            bindings: naming.map(|binding| binding.name).collect(),
            ..self.count(name).await?
        };
        match used.leases == 0 && used.waiters == 0 && used.bindings.is_empty() {
            true => Ok(()),
            false => Err(Failure::in_use(name, used)),
        }
    }

    /// Counts the leases and waiters of a namespace, in the first locks of it by name.
    async fn count(&self, namespace: &NamespaceName) -> Result<InUse, Failure> {
        let store = self.inner.locate(namespace).await?;
        let store = store.ok_or_else(|| Failure::no_namespace(namespace))?;
        let mut counted = InUse::default();
        let (mut after, mut rows) = (None, 0);
        loop {
            let query = ListQuery::all_of(namespace.clone(), after, limits::PAGE_ROWS_MAX);
            let page = store.door.list(query).await?;
            let count = |of: fn(&LockView) -> usize| page.rows.iter().map(of).sum::<usize>() as u64;
            counted.leases += count(|view| view.holders.len());
            counted.waiters += count(|view| view.queue.len());
            rows += page.rows.len();
            after = page.next;
            if after.is_none() {
                return Ok(counted);
            }
            if rows >= limits::NAMESPACE_COUNT_ROWS_MAX {
                counted.more = true;
                return Ok(counted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::failure::FailureKind;
    use leasehold_domain::Precondition;
    use serde_json::json;

    use crate::failure::FailureDetail;
    use crate::governance::document::DefaultDecision;
    use crate::pipeline::fixture::Gate;
    use crate::pipeline::fixture::caller;

    #[tokio::test]
    async fn a_namespace_in_use_is_told_with_counts() {
        let gate = Gate::open().await;
        gate.namespace("demo", DefaultDecision::Allow).await;
        let demo = "demo".parse().unwrap();
        gate.pipeline.check_unused(&demo).await.unwrap();
        let svc = caller("svc", &[]);
        for lock in ["demo/a", "demo/b"] {
            gate.acquire(&svc, lock, None).await.unwrap();
        }
        let all = json!({ "name": "all", "namespaces": ["*"],
            "policies": [{ "policy": "quota", "version": "1.0.0" }] });
        let mut named = all.clone();
        (named["name"], named["namespaces"]) = (json!("named"), json!(["demo"]));
        gate.bind(all).await.unwrap();
        gate.bind(named).await.unwrap();
        let failure = gate.pipeline.check_unused(&demo).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict, "{failure:?}");
        let FailureDetail::InUse(used) = &failure.detail else {
            unreachable!("{failure:?}")
        };
        assert_eq!((used.leases, used.waiters), (2, 0), "{failure:?}");
        assert_eq!(used.bindings, ["named"], "{failure:?}");
        let nowhere = "nowhere".parse().unwrap();
        let failure = gate.pipeline.check_unused(&nowhere).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NamespaceNotFound);
    }

    #[tokio::test]
    async fn a_binding_of_a_deleted_namespace_can_be_written_again() {
        let gate = Gate::open().await;
        gate.namespace("demo", DefaultDecision::Allow).await;
        let binding = json!({ "namespaces": ["demo"],
            "policies": [{ "policy": "quota", "version": "1.0.0" }] });
        gate.bind(binding.clone()).await.unwrap();
        let op = caller("op", &[]);
        let demo = "demo".parse().unwrap();
        gate.governance.delete_namespace(&op, &demo).await.unwrap();
        gate.bind(binding.clone()).await.unwrap();
        // A binding that never had it may not name it.
        let mut other = binding.clone();
        other["name"] = json!("other");
        let refused = gate.bind(other).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid, "{refused:?}");
        // It judges the namespace again that is made anew.
        gate.namespace("demo", DefaultDecision::Allow).await;
        let stored = gate.governance.binding("b").await.unwrap();
        let again = Precondition::Revision(stored.revision);
        let written = gate.governance.put_binding(&op, &stored.document, again);
        written.await.unwrap();
    }
}
