//! Bytes as a client should not send them.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::Gateway;

/// How long a server may take to answer or to hang up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bare connection to a gateway.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn to(gateway: &Gateway) -> Result<Self> {
        let address = gateway.url().trim_start_matches("http://");
        Ok(Self(TcpStream::connect(address).await?))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The server has hung up.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.0.write_all(bytes.as_ref()).await?)
    }

    /// Everything that comes until the server hangs up.
    ///
    /// # Errors
    /// It does not hang up.
    pub async fn until_closed(&mut self) -> Result<String> {
        let mut all = Vec::new();
        let reading = async {
            let mut some = [0; 4_096];
            // A reset is a way to hang up, too.
            while let Ok(count @ 1..) = self.0.read(&mut some).await {
                all.extend_from_slice(&some[..count]);
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .context("the server does not hang up")?;
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// Everything that comes until `text` has come.
    ///
    /// # Errors
    /// It does not come.
    pub async fn until(&mut self, text: &str) -> Result<String> {
        let mut all = String::new();
        let reading = async {
            let mut some = [0; 4_096];
            while !all.contains(text) {
                let count = self.0.read(&mut some).await?;
                anyhow::ensure!(count > 0, "hung up after {all:?}");
                all.push_str(&String::from_utf8_lossy(&some[..count]));
            }
            Ok(all)
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .with_context(|| format!("{text:?} does not come"))?
    }
}
