//! Namespaces.

use leasehold_domain::NamespaceName;
use leasehold_domain::Precondition;
use leasehold_wire::v1::error::ErrorCode;

use super::Governance;
use super::Stored;
use super::document::NAMESPACES;
use super::document::NamespaceDocument;
use crate::pipeline::ask::Caller;
use crate::pipeline::failure::Failure;

impl Governance {
    /// Creates or replaces a namespace; answers its revision.
    ///
    /// # Errors
    /// The precondition does not hold, or the store cannot write.
    pub async fn put_namespace(
        &self,
        caller: &Caller,
        namespace: &NamespaceDocument,
        precondition: Precondition,
    ) -> Result<u64, Failure> {
        if namespace.description.len() > leasehold_domain::limits::DESCRIPTION_BYTES_MAX {
            return Err(Failure::invalid("description: too long"));
        }
        if namespace.backend != "default" {
            return Err(Failure::invalid(format!(
                "backend: there is no {:?}",
                namespace.backend
            )));
        }
        let team = namespace
            .team
            .as_ref()
            .map_or("no team", |team| team.as_str());
        let summary = format!("namespace {} of {team}", namespace.name);
        let id = namespace.name.as_str();
        self.write(
            caller,
            NAMESPACES,
            id,
            Some(namespace),
            precondition,
            summary,
        )
        .await
    }

    /// Deletes a namespace. Its locks stay in the store, unreachable, and their tokens stay safe
    /// if it is created again.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot write.
    pub async fn delete_namespace(
        &self,
        caller: &Caller,
        name: &NamespaceName,
    ) -> Result<(), Failure> {
        let stored = self.namespace(name).await?;
        let precondition = Precondition::Revision(stored.revision);
        let summary = format!("namespace {name} deleted");
        let nothing = None::<&NamespaceDocument>;
        self.write(
            caller,
            NAMESPACES,
            name.as_str(),
            nothing,
            precondition,
            summary,
        )
        .await?;
        Ok(())
    }

    /// One namespace.
    ///
    /// # Errors
    /// There is none of that name, or the store cannot be read.
    pub async fn namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Stored<NamespaceDocument>, Failure> {
        self.read(NAMESPACES, name.as_str())
            .await
            .map_err(|failure| match failure.code {
                ErrorCode::NotFound => Failure {
                    code: ErrorCode::NamespaceNotFound,
                    message: format!("there is no namespace {name}"),
                    ..failure
                },
                _ => failure,
            })
    }

    /// All namespaces, by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn namespaces(&self) -> Result<Vec<Stored<NamespaceDocument>>, Failure> {
        self.list(NAMESPACES).await
    }
}
