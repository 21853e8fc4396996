//! Watching: what happens to locks, until their namespace leaves the store.

use futures_util::StreamExt;

use super::Pipeline;
use crate::authorization::sees;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::governance::document::NamespaceDocument;
use crate::watches::Place;
use crate::watches::WatchScope;
use crate::watches::Watching;

impl Pipeline {
    /// What happens to locks, from a place on or from now on.
    ///
    /// # Errors
    /// There is no such namespace.
    pub async fn watch(
        &self,
        caller: &Caller,
        scope: WatchScope,
        after: Option<Place>,
    ) -> Result<Watching, Failure> {
        let namespace = scope.namespace().clone();
        let store = self.inner.store_of(caller, &namespace, "watch").await?;
        let Watching { begin, told } = store.watches.begin(scope, after).await;
        // A namespace that has left tells nothing here any more: the watch ends, and is told
        // `resync` where it is asked for again. One that is hidden from the caller tells it nothing.
        let (governance, name) = (self.inner.governance.clone(), store.name.clone());
        let caller = caller.clone();
        let left = async move {
            let is_told =
                |document: &NamespaceDocument| document.store == name && sees(&caller, document);
            governance.while_it_is(&namespace, is_told).await;
        };
        let told = told.take_until(Box::pin(left)).boxed();
        Ok(Watching { begin, told })
    }
}
