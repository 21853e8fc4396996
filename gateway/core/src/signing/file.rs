//! Files of signatures: how they come from signers to gateways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leasehold_domain::limits::POLICY_SIGNATURE_FILE_BYTES_MAX;
use leasehold_domain::limits::POLICY_SIGNATURES_MAX;
use serde::Deserialize;
use serde::Serialize;

use super::KeyId;
use super::SigningKey;
use super::Statement;
use super::VerifyingKey;

/// What a file says that it is.
const FORMAT: &str = "leasehold-policy-signatures/v1";

/// One signature of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySignature {
    /// The key that made it, by its own word until it is verified.
    pub key: KeyId,
    /// What is signed, read from the bytes.
    pub statement: Statement,
    bytes: Vec<u8>,
    signature: [u8; 64],
}

impl PolicySignature {
    /// Signs a statement.
    ///
    /// # Errors
    /// The statement is wrong. Says which member.
    pub fn sign(statement: &Statement, key: &SigningKey) -> Result<Self, String> {
        let bytes = statement.text().into_bytes();
        Ok(Self {
            key: key.public()?.id(),
            statement: Statement::parse(&bytes)?,
            signature: key.sign(&bytes),
            bytes,
        })
    }

    /// Returns whether `key` signed the statement's bytes.
    #[must_use]
    pub fn is_by(&self, key: &VerifyingKey) -> bool {
        key.id() == self.key && key.verifies(&self.bytes, &self.signature)
    }

    /// Reads it from its stored form.
    ///
    /// # Errors
    /// A part is not base64, or not what it should be.
    pub fn read(encoded: &EncodedSignature) -> Result<Self, String> {
        let decoded = |name: &str, text: &str| {
            let wrong = |_| format!("{name}: is not base64");
            STANDARD.decode(text).map_err(wrong)
        };
        let key = encoded.key.parse();
        let key = key.map_err(|problem: String| format!("key: {problem}"))?;
        let bytes = decoded("statement", &encoded.statement)?;
        let signature = decoded("signature", &encoded.signature)?;
        let signature = <[u8; 64]>::try_from(signature);
        Ok(Self {
            key,
            statement: Statement::parse(&bytes)
                .map_err(|problem| format!("statement: {problem}"))?,
            bytes,
            signature: signature.map_err(|_| "signature: must be 64 bytes")?,
        })
    }

    /// Returns its form in files and in the store.
    #[must_use]
    pub fn encoded(&self) -> EncodedSignature {
        EncodedSignature {
            key: self.key.to_string(),
            statement: STANDARD.encode(&self.bytes),
            signature: STANDARD.encode(self.signature),
        }
    }
}

/// A signature in files and in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodedSignature {
    /// The id of the key.
    pub key: String,
    /// The statement's bytes, in base64.
    pub statement: String,
    /// The 64 bytes of the signature, in base64.
    pub signature: String,
}

/// A file of signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignatureFile {
    /// Its signatures.
    pub signatures: Vec<PolicySignature>,
}

/// The JSON of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDocument {
    format: String,
    signatures: Vec<EncodedSignature>,
}

impl SignatureFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not a file of signatures. Says where.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        if json.len() > POLICY_SIGNATURE_FILE_BYTES_MAX {
            return Err(format!(
                "has more than {POLICY_SIGNATURE_FILE_BYTES_MAX} bytes"
            ));
        }
        let file: FileDocument = crate::input::json(json).map_err(|error| error.to_string())?;
        if file.format != FORMAT {
            return Err(format!("format: must be {FORMAT:?}"));
        }
        if file.signatures.is_empty() || file.signatures.len() > POLICY_SIGNATURES_MAX {
            return Err(format!("signatures: expected 1 to {POLICY_SIGNATURES_MAX}"));
        }
        let signatures = file.signatures.iter().enumerate().map(|(at, encoded)| {
            PolicySignature::read(encoded).map_err(|problem| format!("signatures[{at}].{problem}"))
        });
        Ok(Self {
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// Reads a file from base64, as a header of a push has it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_base64(text: &str) -> Result<Self, String> {
        if text.len() > POLICY_SIGNATURE_FILE_BYTES_MAX * 2 {
            return Err("is too long".to_owned());
        }
        let json = STANDARD.decode(text).map_err(|_| "is not base64")?;
        Self::parse(&json)
    }

    /// Adds a signature, in the place of another of the same key about the same module.
    pub fn add(&mut self, signature: PolicySignature) {
        let module = signature.statement.module;
        self.signatures
            .retain(|other| other.key != signature.key || other.statement.module != module);
        self.signatures.push(signature);
    }

    /// Returns the file's text.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn text(&self) -> Result<String, String> {
        let file = FileDocument {
            format: FORMAT.to_owned(),
            signatures: self
                .signatures
                .iter()
                .map(PolicySignature::encoded)
                .collect(),
        };
        let text = serde_json::to_string_pretty(&file).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }

    /// Returns the file in base64, for a header.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn base64(&self) -> Result<String, String> {
        let file = FileDocument {
            format: FORMAT.to_owned(),
            signatures: self
                .signatures
                .iter()
                .map(PolicySignature::encoded)
                .collect(),
        };
        let json = serde_json::to_vec(&file).map_err(|error| error.to_string())?;
        Ok(STANDARD.encode(json))
    }
}

#[cfg(test)]
mod tests {
    use leasehold_domain::Digest;
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn statement() -> Statement {
        Statement {
            policy: "quota".to_owned(),
            version: "1.0.0".to_owned(),
            module: Digest::of(b"module"),
            schema: Digest::of(b"schema"),
            source: None,
            not_before: None,
            not_after: None,
        }
    }

    fn file() -> (SigningKey, SignatureFile) {
        let key = SigningKey::draw();
        let signature = PolicySignature::sign(&statement(), &key).unwrap();
        let signatures = vec![signature];
        (key, SignatureFile { signatures })
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let (key, mut file) = file();
        let read = SignatureFile::parse(file.text().unwrap().as_bytes()).unwrap();
        assert_eq!(read, file);
        assert_eq!(
            SignatureFile::parse_base64(&file.base64().unwrap()).unwrap(),
            file
        );
        assert!(read.signatures[0].is_by(&key.public().unwrap()));
        assert!(!read.signatures[0].is_by(&SigningKey::draw().public().unwrap()));
        // The same key signs again: the newer statement takes the place of the older one.
        let later = Statement {
            source: Some("https://git.example/".to_owned()),
            ..statement()
        };
        file.add(PolicySignature::sign(&later, &key).unwrap());
        file.add(PolicySignature::sign(&later, &SigningKey::draw()).unwrap());
        assert_eq!(file.signatures.len(), 2);
    }

    #[test]
    fn what_is_no_file_of_signatures_is_refused_with_its_place() {
        let (_, file) = file();
        let good: Value = serde_json::from_str(&file.text().unwrap()).unwrap();
        let with = |pointer: &str, value: Value| {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            bad.to_string()
        };
        let tampered = STANDARD.encode(statement().text().replace("quota", "quote "));
        let many = good["signatures"][0].clone();
        for (bad, reason) in [
            ("{".to_owned(), "JSON"),
            ("[]".to_owned(), "object"),
            (with("/format", json!("other/v1")), "format: must be"),
            (with("/signatures", json!([])), "signatures: expected 1"),
            (
                with("/signatures", Value::Array(vec![many; 17])),
                "expected 1 to 16",
            ),
            (
                with("/signatures/0/key", json!("ab")),
                "signatures[0].key: must be 64",
            ),
            (
                with("/signatures/0/statement", json!("!")),
                "signatures[0].statement: is not base64",
            ),
            (
                with("/signatures/0/statement", json!(tampered)),
                "signatures[0].statement: policy",
            ),
            (
                with("/signatures/0/signature", json!("AAAA")),
                "signatures[0].signature: must be 64 bytes",
            ),
            (" ".repeat(40_000), "more than 32768 bytes"),
        ] {
            let refused = SignatureFile::parse(bad.as_bytes()).unwrap_err();
            assert!(refused.contains(reason), "{bad}: {refused}");
        }
        let refused = SignatureFile::parse_base64("{}").unwrap_err();
        assert!(refused.contains("is not base64"), "{refused}");
    }

    #[test]
    fn a_changed_statement_has_no_signature() {
        let (key, file) = file();
        let changed = Statement {
            policy: "quote".to_owned(),
            ..statement()
        };
        let mut encoded = file.signatures[0].encoded();
        encoded.statement = STANDARD.encode(changed.text());
        let read = PolicySignature::read(&encoded).unwrap();
        assert!(!read.is_by(&key.public().unwrap()));
    }
}
