//! Execution: carries out what was permitted. Each write asks for a [`Permit`].

use leasehold_backend_api::Batch;
use leasehold_domain::Atomicity;
use leasehold_domain::Note;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;

use super::decide::Denied;
use super::decide::Permit;
use crate::failure::Failure;
use crate::store_client::StoreClient;

impl StoreClient {
    /// Executes one permitted command.
    pub(crate) async fn run(
        &self,
        operation: Operation,
        permit: Permit,
    ) -> Result<Outcome, Failure> {
        let batch = Batch::one(permit.into_command());
        let outcomes = self.execute(operation, batch).await?;
        outcomes
            .into_iter()
            .next()
            .ok_or_else(|| Failure::internal("the backend gave no outcome"))
    }

    /// Executes permitted commands in one durable step.
    pub(crate) async fn run_all(
        &self,
        operation: Operation,
        permits: Vec<Permit>,
        denied: Vec<Denied>,
        atomicity: Atomicity,
    ) -> Result<Vec<Outcome>, Failure> {
        let expected = permits.len();
        let commands = permits.into_iter().map(Permit::into_command).collect();
        let notes = denied
            .into_iter()
            .map(|denied| Note::Denied(denied.cause().clone()))
            .collect();
        let outcomes = self
            .execute(
                operation,
                Batch {
                    commands,
                    atomicity,
                    notes,
                },
            )
            .await?;
        if outcomes.len() != expected {
            return Err(Failure::internal(
                "the backend gave another number of outcomes",
            ));
        }
        Ok(outcomes)
    }

    /// Makes a denial durable, and only then turns it into an answer.
    pub(crate) async fn refuse(&self, denied: Denied) -> Failure {
        let cause = denied.cause().clone();
        let operation = cause.request.operation;
        match self
            .execute(operation, Batch::note(Note::Denied(cause)))
            .await
        {
            Ok(_) => denied.failure(),
            // A denial that could not be recorded is not answered: nothing unaudited.
            Err(failure) => failure,
        }
    }
}
