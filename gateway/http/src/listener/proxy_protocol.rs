//! The header of the PROXY protocol, version 1 or 2, with which a proxy begins a connection.

use std::io;
use std::net::IpAddr;

use ppp::HeaderResult;
use ppp::v1;
use ppp::v2;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and length of the rest.
const FIXED_BYTES: usize = 16;
/// The longest header of version 1, by its specification.
const LINE_BYTES_MAX: usize = 107;
/// The longest header of version 2 that is read: addresses, and room for what proxies add.
const HEADER_BYTES_MAX: usize = 2_048;

/// Reads the header, and nothing after it. Returns the client's address, or `None` if the proxy
/// speaks for itself (a health check) or does not know it.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_version_2(stream, &mut header).await?;
    } else {
        read_version_1(stream, &mut header).await?;
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, &header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => {
                Some(addresses.source_address.into())
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => {
                Some(addresses.source_address.into())
            }
            _ => None,
        }),
        HeaderResult::V1(Err(error)) => Err(invalid(error.to_string())),
        HeaderResult::V2(Err(error)) => Err(invalid(error.to_string())),
    }
}

async fn read_version_2<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut Vec<u8>,
) -> io::Result<()> {
    header.resize(FIXED_BYTES, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if FIXED_BYTES + rest > HEADER_BYTES_MAX {
        return Err(invalid("the header is too long".to_owned()));
    }
    header.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    Ok(())
}

/// Reads byte by byte: what follows the line is the client's.
async fn read_version_1<S: AsyncRead + Unpin>(
    stream: &mut S,
    header: &mut Vec<u8>,
) -> io::Result<()> {
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(invalid(
            "the connection does not begin with a header".to_owned(),
        ));
    }
    while header.last() != Some(&b'\n') {
        if header.len() == LINE_BYTES_MAX {
            return Err(invalid("the header is too long".to_owned()));
        }
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parsed(bytes: &[u8]) -> (io::Result<Option<IpAddr>>, Vec<u8>) {
        let mut stream = bytes;
        let read = read(&mut stream).await;
        (read, stream.to_vec())
    }

    /// A header of version 2 with this command, family and rest.
    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_after_them() {
        let v4 = [[10, 0, 0, 1], [10, 0, 0, 2]].concat();
        let v4 = [&v4[..], &[1, 2, 3, 4]].concat();
        let v6 = [&[0x20, 1][..], &[0; 14], &[0; 16], &[1, 2, 3, 4]].concat();
        let cases = [
            (
                b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n".to_vec(),
                Some("10.0.0.1"),
            ),
            (b"PROXY TCP6 2001::1 ::1 1 2\r\n".to_vec(), Some("2001::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (version_2(0x21, 0x11, &v4), Some("10.0.0.1")),
            (version_2(0x21, 0x21, &v6), Some("2001::")),
            (version_2(0x20, 0x00, &[]), None),
        ];
        for (header, address) in cases {
            let (read, rest) = parsed(&[&header[..], b"GET / HTTP/1.1"].concat()).await;
            assert_eq!(read.unwrap(), address.map(|text| text.parse().unwrap()));
            assert_eq!(rest, b"GET / HTTP/1.1");
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_header_is_refused() {
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 10.0.0.1".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            version_2(0x21, 0x11, &[1, 2, 3]),
            version_2(0x21, 0x11, &vec![0; 4_000]),
            b"short".to_vec(),
        ] {
            assert!(parsed(&bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
