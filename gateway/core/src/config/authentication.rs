//! `[authentication]`

use std::path::PathBuf;

use leasehold_domain::RoleName;
use serde::Deserialize;
use serde::Serialize;

use super::ConfigError;
use super::url::is_trustworthy;

/// Who may call. Nobody may without a key or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// Whether API keys are taken.
    pub api_keys: bool,
    /// Whose tokens are taken; none for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
}

/// Tokens of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The `iss` that a token must have.
    pub issuer: String,
    /// The `aud` that a token must have.
    pub audience: String,
    /// Which signatures are taken: `RS256`… `PS256`… `ES256`, `ES384`, `EdDSA`.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<String>,
    /// The provider's public keys, as a file. This or `jwks_url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// The provider's public keys, by HTTPS (or HTTP on loopback). This or `jwks_file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The claim that is the subject.
    #[serde(default = "default_subject_claim")]
    pub subject_claim: String,
    /// The claim that is the team; a token without it has no team.
    #[serde(default = "default_team_claim")]
    pub team_claim: String,
    /// The claim that lists roles; those that the gateway does not know are for policies.
    #[serde(default = "default_roles_claim")]
    pub roles_claim: String,
    /// Custom roles that tokens may carry.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How often the keys are read again.
    #[serde(default = "default_refresh_s")]
    pub refresh_s: u64,
    /// How far the provider's clock may be off.
    #[serde(default = "default_leeway_s")]
    pub leeway_s: u64,
}

fn default_algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec()
}

fn default_subject_claim() -> String {
    "sub".to_owned()
}

fn default_team_claim() -> String {
    "team".to_owned()
}

fn default_roles_claim() -> String {
    "roles".to_owned()
}

fn default_refresh_s() -> u64 {
    300
}

fn default_leeway_s() -> u64 {
    30
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            api_keys: true,
            jwt: None,
        }
    }
}

/// Signatures by public key. Shared secrets (`HS*`) and `none` are not among them on purpose.
const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

impl Authentication {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !self.api_keys && self.jwt.is_none() {
            let problem = "is false and there is no authentication.jwt; nobody could call";
            return Err(ConfigError::at("authentication.api_keys", problem));
        }
        self.jwt.as_ref().map_or(Ok(()), Jwt::check)
    }
}

impl Jwt {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key: &str, problem: &str| {
            Err(ConfigError::at(
                &format!("authentication.jwt.{key}"),
                problem,
            ))
        };
        let names = [
            ("issuer", &self.issuer),
            ("audience", &self.audience),
            ("subject_claim", &self.subject_claim),
            ("team_claim", &self.team_claim),
            ("roles_claim", &self.roles_claim),
        ];
        for (key, value) in names {
            if value.is_empty() {
                return refuse(key, "must not be empty");
            }
        }
        for role in &self.roles {
            if let Err(problem) = RoleName::of_caller(role) {
                return refuse("roles", &format!("{role:?}: {problem}"));
            }
        }
        if self.algorithms.is_empty() {
            return refuse("algorithms", "must name at least one");
        }
        if let Some(unknown) = self
            .algorithms
            .iter()
            .find(|name| !ALGORITHMS.contains(&name.as_str()))
        {
            let problem = format!("{unknown:?} is not one of {}", ALGORITHMS.join(", "));
            return refuse("algorithms", &problem);
        }
        match (&self.jwks_file, &self.jwks_url) {
            (Some(_), None) => {}
            (None, Some(url)) if is_trustworthy(url) => {}
            (None, Some(_)) => {
                return refuse("jwks_url", "must be https:// (http:// on loopback only)");
            }
            _ => return refuse("jwks_file", "give either jwks_file or jwks_url"),
        }
        if !(10..=86_400).contains(&self.refresh_s) {
            return refuse("refresh_s", "must be 10 to 86400");
        }
        if self.leeway_s > 300 {
            return refuse("leeway_s", "must be 0 to 300");
        }
        Ok(())
    }
}
