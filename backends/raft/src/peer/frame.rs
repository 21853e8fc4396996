//! Frames: length, version, number, body.
//!
//! ```text
//! u32 length of what follows | u8 version | u64 number | form
//! ```

use std::io;

use leasehold_domain::limits;
use leasehold_stored::decode_next;
use leasehold_stored::encode_into;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

use crate::form::Sent;

/// The version of what peers say to each other: 1 and 2 were those of builds before the first release.
/// A new field of a form needs no new version.
const VERSION: u8 = 3;
const LENGTH_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + 8;
/// Initial capacity, enough for most frames: growing a buffer step by step costs as much as the
/// encoding.
const BYTES_USUAL: usize = 1_024;
/// The largest frame: one log entry, or a long answer, with room to spare.
pub(crate) const FRAME_BYTES_MAX: usize = limits::PEER_MESSAGE_BYTES_MAX;
/// The largest frame before both know who the other is.
pub(super) const HELLO_BYTES_MAX: usize = 4 * 1_024;

/// The number of the last frame of a side that ends: what it has not answered it has not begun.
pub(crate) const FAREWELL: u64 = 0;

/// One frame as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The request's number; its answer has the same.
    pub(crate) number: u64,
    body: Vec<u8>,
}

impl Frame {
    /// Reads the next frame; none if the other has closed the connection between two frames.
    ///
    /// # Errors
    /// The connection broke, the frame is larger than `bytes_max`, or of an unknown version.
    pub(crate) async fn read<R>(from: &mut R, bytes_max: usize) -> io::Result<Option<Self>>
    where
        R: AsyncRead + Unpin,
    {
        let mut length = [0; LENGTH_BYTES];
        match from.read_exact(&mut length).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if !(HEAD_BYTES..=bytes_max).contains(&length) {
            return Err(invalid(format!("a frame of {length} bytes")));
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).await?;
        let Some((&[version], rest)) = body.split_first_chunk() else {
            return Err(invalid("a frame without a head".to_owned()));
        };
        if version != VERSION {
            let detail = format!("version {version} is not known to this build");
            return Err(invalid(detail));
        }
        let Some((number, _)) = rest.split_first_chunk() else {
            return Err(invalid("a frame without a number".to_owned()));
        };
        let number = u64::from_be_bytes(*number);
        Ok(Some(Self { number, body }))
    }

    /// What the frame says.
    pub(crate) fn decode<T: Sent>(&self) -> io::Result<T> {
        let mut body = &self.body[HEAD_BYTES..];
        let form = decode_next(&mut body).map_err(|error| invalid(error.to_string()))?;
        let form = form.ok_or_else(|| invalid("a frame that says nothing".to_owned()))?;
        match body.is_empty() {
            true => T::restore(form).map_err(|error| invalid(error.to_string())),
            false => Err(invalid("a frame that says more".to_owned())),
        }
    }
}

/// Bytes of a frame whose number is still to be given.
#[derive(Debug)]
pub(crate) struct Unnumbered(Vec<u8>);

impl Unnumbered {
    /// # Errors
    /// The message is too large for a frame.
    pub(crate) fn encode<T: Sent>(message: &T) -> io::Result<Self> {
        let mut bytes = Self::begun();
        encode_into(&message.form(), &mut bytes);
        Self::ended(bytes)
    }

    /// A frame without a body, for what is said by its number alone.
    pub(crate) fn empty() -> io::Result<Self> {
        Self::ended(Self::begun())
    }

    fn begun() -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES_USUAL);
        bytes.resize(LENGTH_BYTES + HEAD_BYTES, 0);
        bytes[LENGTH_BYTES] = VERSION;
        bytes
    }

    fn ended(mut bytes: Vec<u8>) -> io::Result<Self> {
        let length = bytes.len() - LENGTH_BYTES;
        let fits = u32::try_from(length)
            .ok()
            .filter(|_| length <= FRAME_BYTES_MAX);
        let Some(fits) = fits else {
            return Err(invalid(format!("a frame of {length} bytes")));
        };
        bytes[..LENGTH_BYTES].copy_from_slice(&fits.to_be_bytes());
        Ok(Self(bytes))
    }

    /// The bytes to send.
    pub(crate) fn number(mut self, number: u64) -> Vec<u8> {
        self.0[LENGTH_BYTES + 1..LENGTH_BYTES + HEAD_BYTES].copy_from_slice(&number.to_be_bytes());
        self.0
    }
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut bytes: &[u8], bytes_max: usize) -> io::Result<Option<Frame>> {
        Frame::read(&mut bytes, bytes_max).await
    }

    #[tokio::test]
    async fn a_frame_comes_back_and_what_is_cut_damaged_or_too_large_is_refused() {
        let bytes = Unnumbered::encode(&"hello".to_owned()).unwrap().number(7);
        let frame = read(&bytes, 100).await.unwrap().unwrap();
        assert_eq!(
            (frame.number, frame.decode::<String>().unwrap()),
            (7, "hello".to_owned())
        );
        assert!(read(&[], 100).await.unwrap().is_none());
        for cut in LENGTH_BYTES..bytes.len() {
            assert!(read(&bytes[..cut], 100).await.is_err(), "{cut}");
        }
        assert!(read(&bytes, bytes.len() - LENGTH_BYTES - 1).await.is_err());
        let mut other_version = bytes.clone();
        other_version[LENGTH_BYTES] = VERSION - 1;
        assert!(read(&other_version, 100).await.is_err());
        let frame = read(&bytes, 100).await.unwrap().unwrap();
        assert!(frame.decode::<u64>().is_err());
        // A length without a frame behind it must not be believed.
        assert!(read(&[255; 4], FRAME_BYTES_MAX).await.is_err());
        assert!(read(&[0; 4], FRAME_BYTES_MAX).await.is_err());
    }

    #[test]
    fn what_is_too_large_is_not_sent() {
        assert!(Unnumbered::encode(&"x".repeat(FRAME_BYTES_MAX)).is_err());
    }
}
