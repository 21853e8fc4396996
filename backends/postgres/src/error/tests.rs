//! What is made of a server's words, also of those that no server here can be made to say.

use leasehold_backend_api::Effect;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

use super::*;

/// A message of the protocol: its letter, its length, its body.
fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    let mut message = vec![letter];
    message.extend(length.to_be_bytes());
    message.extend(body);
    message
}

/// The error of a client to whose statement a server answers with this one.
async fn said(severity: &str, code: &str) -> tokio_postgres::Error {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let fields = format!("S{severity}\0V{severity}\0C{code}\0Msaid\0\0");
    let ready = message(b'Z', b"I");
    let welcome = [message(b'R', &[0; 4]), ready.clone()].concat();
    let refusal = [message(b'E', fields.as_bytes()), ready].concat();
    let server = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1_024];
        for answer in [welcome, refusal] {
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            stream.write_all(&answer).await.unwrap();
        }
    };
    let server = tokio::spawn(server);
    let url = format!("postgresql://nobody@127.0.0.1:{port}/nothing");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let failure = client.batch_execute("COMMIT").await.unwrap_err();
    server.await.unwrap();
    drop(client);
    let _ = driver.await;
    failure
}

#[tokio::test]
async fn only_a_server_that_goes_on_has_certainly_done_nothing() {
    let cases = [
        ("ERROR", "53100", Effect::None, true),
        ("ERROR", "53200", Effect::None, true),
        ("ERROR", "55P03", Effect::None, false),
        ("ERROR", "25006", Effect::None, false),
        // A pooler whose connection to the server has ended.
        ("ERROR", "08P01", Effect::Unknown, false),
        ("ERROR", "08006", Effect::Unknown, false),
        // A server that ends the connection, or itself.
        ("FATAL", "57P01", Effect::Unknown, false),
        ("FATAL", "53200", Effect::Unknown, false),
        ("PANIC", "53100", Effect::Unknown, false),
    ];
    for (severity, code, effect, full) in cases {
        let failure = said(severity, code).await;
        let told = of_statement(&failure);
        assert_eq!(told.effect, effect, "{severity} {code}");
        assert!(told.is_retryable(), "{severity} {code}: {told}");
        assert_eq!(lacks_room(&failure), full, "{severity} {code}");
    }
}
