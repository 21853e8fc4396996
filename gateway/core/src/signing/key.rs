//! The keys that sign policies: ed25519, in the PEM files that `openssl genpkey` and `openssl pkey`
//! write.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use leasehold_domain::Digest;

/// The id of a public key: the SHA-256 of its DER form (`SubjectPublicKeyInfo`).
///
/// `openssl pkey -pubin -in KEY.pub.pem -outform DER | sha256sum` prints the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Digest);

impl KeyId {
    /// Returns its first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let parsed = text.parse().ok().filter(|_| is_lower);
        parsed
            .map(Self)
            .ok_or_else(|| "must be 64 lowercase hex digits".to_owned())
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    key: ed25519_dalek::VerifyingKey,
    id: KeyId,
}

impl VerifyingKey {
    /// Reads a public key from PEM (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// It is not the PEM of an ed25519 public key, or of a weak one, for which anybody can sign.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY") {
            return Err(
                "it is a private key; keep it secret, and make its public key with \
                 `openssl pkey -in KEY.pem -pubout`"
                    .to_owned(),
            );
        }
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem.trim_ascii());
        let key = key.map_err(|error| format!("not an ed25519 public key in PEM: {error}"))?;
        if key.is_weak() {
            return Err("the key is weak: anybody can sign for it".to_owned());
        }
        Self::of(key)
    }

    fn of(key: ed25519_dalek::VerifyingKey) -> Result<Self, String> {
        let der = key.to_public_key_der();
        let der = der.map_err(|error| format!("the key has no DER form: {error}"))?;
        let id = KeyId(Digest::of(der.as_bytes()));
        Ok(Self { key, id })
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Returns it as PEM.
    ///
    /// # Errors
    /// It has no such form.
    pub fn pem(&self) -> Result<String, String> {
        let pem = self.key.to_public_key_pem(LineEnding::LF);
        pem.map_err(|error| format!("the key has no PEM form: {error}"))
    }

    /// Returns whether this key signed these bytes.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(bytes, &signature).is_ok()
    }
}

/// A private key. Does not print.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads a private key from PEM (`-----BEGIN PRIVATE KEY-----`, PKCS#8, without a password).
    ///
    /// # Errors
    /// It is not the PEM of an ed25519 private key.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("ENCRYPTED PRIVATE KEY") {
            return Err(
                "the key has a password; decrypt it with `openssl pkey -in KEY.pem -out PLAIN.pem`"
                    .to_owned(),
            );
        }
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim_ascii());
        let key = key.map_err(|error| format!("not an ed25519 private key in PKCS#8 PEM: {error}"));
        key.map(Self)
    }

    /// Draws a new key.
    #[must_use]
    pub fn draw() -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&rand::random()))
    }

    /// Returns it as PEM: the form that `openssl genpkey -algorithm ed25519` writes.
    ///
    /// # Errors
    /// It has no such form.
    pub fn pem(&self) -> Result<String, String> {
        // Without the public key, which older versions of OpenSSL do not read beside the private one.
        let bytes = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = bytes.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.map_err(|error| format!("the key has no PEM form: {error}"))?;
        Ok(String::clone(&pem))
    }

    /// Returns its public key.
    ///
    /// # Errors
    /// It has no DER form, which its id is made of.
    pub fn public(&self) -> Result<VerifyingKey, String> {
        VerifyingKey::of(self.0.verifying_key())
    }

    /// Signs bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` wrote.
    const PRIVATE: &str = include_str!("tests/openssl.pem");
    const PUBLIC: &str = include_str!("tests/openssl.pub.pem");
    /// What `openssl pkey -pubin -outform DER | sha256sum` printed.
    const ID: &str = include_str!("tests/openssl.id");
    /// What `openssl pkeyutl -sign -rawin` made of `hello`.
    const SIGNATURE: &[u8; 64] = include_bytes!("tests/openssl.sig");

    #[test]
    fn keys_and_signatures_are_those_of_openssl() {
        let private = SigningKey::from_pem(PRIVATE).unwrap();
        let public = VerifyingKey::from_pem(PUBLIC).unwrap();
        assert_eq!(private.public().unwrap(), public);
        assert_eq!(public.id().to_string(), ID.trim());
        assert_eq!(private.sign(b"hello"), *SIGNATURE);
        assert!(public.verifies(b"hello", SIGNATURE));
        assert!(!public.verifies(b"hallo", SIGNATURE));
        assert_eq!(private.pem().unwrap(), PRIVATE);
        assert_eq!(public.pem().unwrap(), PUBLIC);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let weak = ed25519_dalek::VerifyingKey::from_bytes(&{
            let mut identity = [0; 32];
            identity[0] = 1;
            identity
        });
        let weak = weak.unwrap().to_public_key_pem(LineEnding::LF).unwrap();
        for (pem, reason) in [
            ("", "not an ed25519 public key"),
            ("hello", "not an ed25519 public key"),
            (PRIVATE, "private key"),
            (&PUBLIC.replace("MCow", "MCox"), "not an ed25519 public key"),
            (&weak, "weak"),
        ] {
            let refused = VerifyingKey::from_pem(pem).unwrap_err();
            assert!(refused.contains(reason), "{pem}: {refused}");
        }
        let refused = SigningKey::from_pem(PUBLIC).unwrap_err();
        assert!(refused.contains("private key"), "{refused}");
        let locked = PRIVATE.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let refused = SigningKey::from_pem(&locked).unwrap_err();
        assert!(refused.contains("password"), "{refused}");
        for id in ["", "ab", &ID.trim().to_uppercase(), &format!("{ID}0")] {
            assert!(id.parse::<KeyId>().is_err(), "{id}");
        }
    }

    #[test]
    fn a_drawn_key_is_read_again() {
        let key = SigningKey::draw();
        let again = SigningKey::from_pem(&key.pem().unwrap()).unwrap();
        assert_eq!(again.public().unwrap(), key.public().unwrap());
        assert_ne!(SigningKey::draw().public().unwrap(), key.public().unwrap());
        assert_eq!(format!("{key:?}"), "SigningKey");
    }
}
