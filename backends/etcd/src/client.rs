//! A small client of etcd's gRPC interface: the calls that this crate makes, and nothing else.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http::uri::PathAndQuery;
use prost::Message;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use tonic::Request;
use tonic::Status;
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;

use crate::error;
use crate::error::Refusal;
use crate::proto::AuthenticateRequest;
use crate::proto::AuthenticateResponse;
use crate::proto::CompactionRequest;
use crate::proto::CompactionResponse;
use crate::proto::RangeRequest;
use crate::proto::RangeResponse;
use crate::proto::TxnRequest;
use crate::proto::TxnResponse;
use crate::proto::WatchCreateRequest;
use crate::proto::WatchRequest;
use crate::proto::WatchResponse;

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
/// The largest answer that is read: a page of the largest records.
const ANSWER_BYTES_MAX: usize = 512 * 1_024 * 1_024;

/// Who to be, and with which password.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: SecretString,
}

/// A connection to one member. Clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    grpc: Grpc<Channel>,
    deadline: Duration,
    login: Option<Login>,
    token: Arc<Mutex<Option<AsciiMetadataValue>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Speaks through a channel that is connected, and authenticates if it has a login.
    pub(crate) async fn over(
        channel: Channel,
        deadline: Duration,
        login: Option<Login>,
    ) -> Result<Self, Status> {
        let client = Self {
            grpc: Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX),
            deadline,
            login,
            token: Arc::default(),
        };
        client.authenticate().await?;
        Ok(client)
    }

    /// Reads a range of keys.
    pub(crate) async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.call(RANGE, request).await
    }

    /// Carries out a transaction.
    pub(crate) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        self.call(TXN, request).await
    }

    /// Lets the store forget what was before a revision.
    pub(crate) async fn compact(&self, revision: i64) -> Result<(), Status> {
        let request = CompactionRequest { revision };
        let done: Result<CompactionResponse, Status> = self.call(COMPACT, request).await;
        done.map(|_| ())
    }

    /// Follows a range of keys. The stream ends when this member has no leader any more.
    pub(crate) async fn watch(
        &self,
        create: WatchCreateRequest,
    ) -> Result<Streaming<WatchResponse>, Status> {
        let create = WatchRequest {
            create_request: Some(create),
        };
        // The side that asks stays open, or the server would end the watch.
        let asked = stream::once(async { create }).chain(stream::pending());
        let mut request = self.request(asked);
        let leader = AsciiMetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", leader);
        let mut grpc = self.grpc.clone();
        let begin = async {
            ready(&mut grpc).await?;
            let codec = ProstCodec::default();
            grpc.streaming(request, PathAndQuery::from_static(WATCH), codec)
                .await
        };
        Ok(self.within(begin).await?.into_inner())
    }

    /// One call; after a new token once more, because the first was refused as a whole.
    async fn call<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        if self.login.is_none() {
            return self.ask(path, question).await;
        }
        match self.ask(path, question.clone()).await {
            Err(status) if error::refusal(&status) == Refusal::Token => {
                self.authenticate().await?;
                self.ask(path, question).await
            }
            answer => answer,
        }
    }

    async fn ask<Q, A>(&self, path: &'static str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = self.request(question);
        let mut grpc = self.grpc.clone();
        let asking = async {
            ready(&mut grpc).await?;
            let codec = ProstCodec::default();
            grpc.unary(request, PathAndQuery::from_static(path), codec)
                .await
        };
        Ok(self.within(asking).await?.into_inner())
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let late = |_| Status::deadline_exceeded("etcd does not answer");
        tokio::time::timeout(self.deadline, call)
            .await
            .map_err(late)?
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = token.as_ref() {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    /// Gets a token, if there is anybody to be.
    pub(crate) async fn authenticate(&self) -> Result<(), Status> {
        let Some(login) = &self.login else {
            return Ok(());
        };
        let question = AuthenticateRequest {
            name: login.user.clone(),
            password: login.password.expose_secret().to_owned(),
        };
        let answer: AuthenticateResponse = self.ask(AUTHENTICATE, question).await?;
        let token = AsciiMetadataValue::try_from(answer.token.as_str());
        let mut token = token.map_err(|_| Status::internal("the token is no text"))?;
        token.set_sensitive(true);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(())
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    // Nothing was sent yet; but who asks cannot tell, and needs not.
    ready.map_err(|failure| Status::from_error(Box::new(failure)))
}
