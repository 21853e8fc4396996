//! Reading documents: those that were changed, or all.

use std::collections::BTreeSet;

use leasehold_backend_api::BackendError;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::text;
use crate::client::Connection;
use crate::error;
use crate::transaction::Parameter;
use crate::transaction::unsigned;

const ALL: &str = "SELECT collection, id, revision, body FROM leasehold.documents";
/// The documents of some names, with the revision of all documents as of the same point in time; one
/// row without a document if there is none.
const NAMED: &str = "SELECT found.collection, found.id, found.revision, found.body, \
    store.documents FROM leasehold.store LEFT JOIN (SELECT documents.* FROM leasehold.documents \
    JOIN unnest($1::text[], $2::text[]) AS named (collection, id) USING (collection, id)) AS found \
    ON true";

/// The collections and the ids of documents.
pub(crate) type Names = BTreeSet<(Box<str>, Box<str>)>;

/// Reads all documents, which have that revision.
pub(crate) async fn all(
    connection: &Connection,
    revision: u64,
) -> Result<DocumentSet, BackendError> {
    let failed = |failure| error::without_effect(&failure);
    let rows = connection.client.query_typed(ALL, &[]).await;
    let rows = rows.map_err(failed)?;
    let documents: Vec<Document> = rows.iter().map(document).collect::<Result<_, _>>()?;
    Ok(DocumentSet::of(revision, documents))
}

/// Reads the documents of these names; `known` has the others, and those of the names as they were.
/// Returns `None` if the documents are not at that revision any more.
pub(crate) async fn named(
    connection: &Connection,
    names: &Names,
    mut known: DocumentSet,
    revision: u64,
) -> Result<Option<DocumentSet>, BackendError> {
    let failed = |failure| error::without_effect(&failure);
    let (collections, ids): (Vec<&str>, Vec<&str>) = names
        .iter()
        .map(|(collection, id)| (&**collection, &**id))
        .unzip();
    let parameters: [Parameter<'_>; 2] =
        [(&collections, Type::TEXT_ARRAY), (&ids, Type::TEXT_ARRAY)];
    let rows = connection.client.query_typed(NAMED, &parameters);
    let rows = rows.await.map_err(failed)?;
    for (collection, id) in names {
        known.remove(collection, id);
    }
    for row in rows {
        if unsigned(row.try_get(4).map_err(failed)?) != revision {
            return Ok(None);
        }
        if row.try_get::<_, Option<&str>>(0).map_err(failed)?.is_some() {
            known.put(document(&row)?);
        }
    }
    known.set_revision(revision);
    Ok(Some(known))
}

fn document(row: &Row) -> Result<Document, BackendError> {
    let failed = |failure| error::without_effect(&failure);
    Ok(Document {
        collection: text(row, 0)?.into(),
        id: text(row, 1)?.into(),
        revision: unsigned(row.try_get(2).map_err(failed)?),
        body: row.try_get::<_, &[u8]>(3).map_err(failed)?.into(),
    })
}
