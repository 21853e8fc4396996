//! Checkpoints: a tree's size and root, signed (`c2sp.org/tlog-checkpoint`,
//! `c2sp.org/signed-note`).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use leasehold_domain::Digest;
use signed_note::Note;
use signed_note::Signature;
use signed_note::StandardVerifier;
use signed_note::Verifier as _;
use thiserror::Error;

use crate::node::ours;
use crate::node::theirs;

/// The head of a log's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: not empty, without spaces and `+`.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root hash of the tree.
    pub root: Digest,
}

/// A key that signs checkpoints: Ed25519.
pub struct LogKey(SigningKey);

/// A key is not one of a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It is no private Ed25519 key in PEM (PKCS #8).
    #[error(
        "not a private Ed25519 key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes it"
    )]
    Private,
    /// It is no public key of a log.
    #[error(
        "{0:?} is not a log's key: it has the form NAME+ID+KEY, as `leasehold audit log-key` prints it"
    )]
    Public(String),
}

impl LogKey {
    #[cfg(test)]
    pub(crate) fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Reads a key in PEM.
    ///
    /// # Errors
    /// The text is no private Ed25519 key in PKCS #8.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem.trim());
        key.map(Self).map_err(|_| KeyError::Private)
    }

    /// Returns the public key in the form that verifiers take, for the log with this origin.
    #[must_use]
    pub fn public(&self, origin: &str) -> String {
        signed_note::new_ed25519_verifier_key(origin, &self.0.verifying_key())
    }

    fn signature(&self, origin: &str, text: &[u8]) -> Option<Signature> {
        let public = [&[1], self.0.verifying_key().as_bytes().as_slice()].concat();
        let id = signed_note::key_id(origin, &public);
        let signature = self.0.sign(text).to_bytes().to_vec();
        Signature::new(origin.to_owned(), id, signature).ok()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey")
    }
}

/// A checkpoint cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// It has another form.
    #[error("it is not a signed checkpoint")]
    Malformed,
    /// No key that was given has signed it.
    #[error("none of the given keys has signed it as {0}")]
    NotSigned(String),
    /// A signature by a key that was given is wrong.
    #[error("the signature by {0} is wrong")]
    WrongSignature(String),
}

impl Checkpoint {
    fn text(&self) -> Option<Vec<u8>> {
        let checkpoint =
            tlog_tiles::Checkpoint::new(&self.origin, self.size, theirs(&self.root), "");
        checkpoint.ok().map(|checkpoint| checkpoint.to_bytes())
    }

    /// Returns the checkpoint as a note that each key has signed in the name of the origin; nothing if
    /// the origin is none.
    #[must_use]
    pub fn sign(&self, keys: &[LogKey]) -> Option<String> {
        let text = self.text()?;
        let signatures: Option<Vec<_>> = keys
            .iter()
            .map(|key| key.signature(&self.origin, &text))
            .collect();
        let note = Note::new(&text, &signatures?).ok()?;
        String::from_utf8(note.to_bytes()).ok()
    }

    /// Reads a checkpoint without looking at its signatures: for what it says of itself only.
    ///
    /// # Errors
    /// It is none.
    pub fn read_unverified(note: &str) -> Result<Self, CheckpointError> {
        Self::of(&Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?)
    }

    fn of(note: &Note) -> Result<Self, CheckpointError> {
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text())
            .map_err(|_| CheckpointError::Malformed)?;
        let origin = checkpoint.origin();
        if !checkpoint.extension().is_empty() || !signed_note::is_key_name_valid(origin) {
            return Err(CheckpointError::Malformed);
        }
        let of = Self {
            origin: origin.to_owned(),
            size: checkpoint.size(),
            root: ours(*checkpoint.hash()),
        };
        // There is one way to write it: else a file could be changed and stay right.
        match of.text().as_deref() == Some(note.text()) {
            true => Ok(of),
            false => Err(CheckpointError::Malformed),
        }
    }
}

/// The public keys of logs, and of witnesses, that whoever verifies has got from elsewhere.
#[derive(Default)]
pub struct TrustedKeys {
    logs: Vec<StandardVerifier>,
    witnesses: Vec<WitnessKey>,
}

impl fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logs = self.logs.iter().map(StandardVerifier::name);
        let witnesses = self.witnesses.iter().map(|key| &*key.name);
        f.debug_list().entries(logs).entries(witnesses).finish()
    }
}

/// A witness's key: it signs the time as well, and so otherwise than a log's.
struct WitnessKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

/// A checkpoint whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// It.
    pub checkpoint: Checkpoint,
    /// The witnesses that have cosigned it, and when, in seconds since 1970.
    pub cosigned: Vec<(String, u64)>,
}

/// `cosignature/v1` of `c2sp.org/tlog-cosignature`: the type of the key, and the first line of what
/// is signed.
const COSIGNATURE: u8 = 4;
const COSIGNATURE_LINE: &str = "cosignature/v1";

impl TrustedKeys {
    /// Reads keys: of logs and of witnesses, each as `NAME+ID+KEY`.
    ///
    /// # Errors
    /// A text is no such key.
    pub fn parse(logs: &[String], witnesses: &[String]) -> Result<Self, KeyError> {
        let none = |text: &String| KeyError::Public(text.clone());
        let log = |text: &String| StandardVerifier::new(text.trim()).map_err(|_| none(text));
        let witness = |text: &String| WitnessKey::parse(text.trim()).ok_or_else(|| none(text));
        Ok(Self {
            logs: logs.iter().map(log).collect::<Result<_, _>>()?,
            witnesses: witnesses.iter().map(witness).collect::<Result<_, _>>()?,
        })
    }

    /// Reads a signed checkpoint, and checks its signatures: a log's key of its origin must have signed
    /// it. Signatures by other keys are passed over.
    ///
    /// # Errors
    /// It is none, is not signed, or a signature by a given key is wrong.
    pub fn open(&self, note: &str) -> Result<Verified, CheckpointError> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let checkpoint = Checkpoint::of(&note)?;
        let signatures = parts(&note).ok_or(CheckpointError::Malformed)?;
        let mut is_signed = false;
        let mut cosigned = Vec::new();
        for signature in &signatures {
            let (name, id) = (signature.name(), signature.id());
            let wrong = || CheckpointError::WrongSignature(name.to_owned());
            let mut logs = self.logs.iter();
            if let Some(key) = logs.find(|key| (key.name(), key.key_id()) == (name, id)) {
                let is_right = key.verify(note.text(), signature.signature());
                is_right.then_some(()).ok_or_else(wrong)?;
                is_signed |= name == checkpoint.origin;
            }
            let mut witnesses = self.witnesses.iter();
            if let Some(key) = witnesses.find(|key| (&*key.name, key.id) == (name, id)) {
                let at = key.cosigned_at(note.text(), signature.signature());
                cosigned.push((name.to_owned(), at.ok_or_else(wrong)?));
            }
        }
        match is_signed {
            true => Ok(Verified {
                checkpoint,
                cosigned,
            }),
            false => Err(CheckpointError::NotSigned(checkpoint.origin)),
        }
    }
}

/// The signatures of a note. Its type keeps them to itself, so they are read again.
fn parts(note: &Note) -> Option<Vec<Signature>> {
    let bytes = note.to_bytes();
    let lines = bytes.get(note.text().len() + 1..)?;
    let lines = lines.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
    lines.map(|line| Signature::from_bytes(line).ok()).collect()
}

impl WitnessKey {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (id, key) = rest.split_once('+')?;
        let bytes = BASE64_STANDARD.decode(key).ok()?;
        let (kind, public) = bytes.split_first()?;
        let id = u32::from_str_radix(id, 16).ok()?;
        let is_right = *kind == COSIGNATURE && id == signed_note::key_id(name, &bytes);
        let key = ed25519_dalek::VerifyingKey::from_bytes(public.try_into().ok()?).ok()?;
        (is_right && signed_note::is_key_name_valid(name)).then(|| Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// When it has cosigned the text, in seconds since 1970; nothing if the signature is wrong.
    fn cosigned_at(&self, text: &[u8], signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let mut signed = format!("{COSIGNATURE_LINE}\ntime {time}\n").into_bytes();
        signed.extend_from_slice(text);
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        let right = self.key.verify_strict(&signed, &signature);
        right.ok().map(|()| time)
    }
}
