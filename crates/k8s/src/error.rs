//! What can go wrong when talking to a Kubernetes API server.

use std::time::Duration;

use serde_json::Value;

/// Why a call failed. `what` is the call: `get nodes talos1`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 404: no such object, or no such kind.
    #[error("{what}: not found: {message}")]
    NotFound {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 409 on creation: an object of this name is there.
    #[error("{what}: already exists: {message}")]
    AlreadyExists {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 409: somebody else changed the object, or owns the field.
    #[error("{what}: conflict: {message}")]
    Conflict {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 401: the credentials are not accepted.
    #[error("{what}: the API server does not accept our credentials: {message}")]
    Unauthorized {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 403: known, but not allowed.
    #[error("{what}: forbidden: {message}")]
    Forbidden {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 422 or 400: the object is not valid.
    #[error("{what}: invalid: {message}")]
    Invalid {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 410: the resource version is too old; list again.
    #[error("{what}: the resource version is too old: {message}")]
    Gone {
        /// The call.
        what: String,
        /// The server's words.
        message: String,
    },
    /// 429 or 503: the server is there and asks to come back later.
    #[error("{what}: the API server is busy or not ready ({code}): {message}")]
    Busy {
        /// The call.
        what: String,
        /// HTTP status.
        code: u16,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
        /// The server's words.
        message: String,
    },
    /// Any other HTTP status.
    #[error("{what}: the API server answered {code}: {message}")]
    Api {
        /// The call.
        what: String,
        /// HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// No connection, or it broke.
    #[error("{what}: cannot reach the API server at {server}: {reason}")]
    Unreachable {
        /// The call.
        what: String,
        /// The server's URL.
        server: String,
        /// What the network said.
        reason: String,
    },
    /// No answer in time.
    #[error("{what}: no answer from the API server at {server} within {after:?}")]
    Timeout {
        /// The call.
        what: String,
        /// The server's URL.
        server: String,
        /// How long we waited.
        after: Duration,
    },
    /// The answer is not what the API promises.
    #[error("{what}: the answer cannot be read: {reason}")]
    Decode {
        /// The call.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server has no resource for this kind.
    #[error("{api_version} {kind}: the API server knows no such kind (is its custom resource definition installed?)")]
    UnknownKind {
        /// Group and version.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// An object that cannot be sent: no kind, no name.
    #[error("object cannot be sent: {0}")]
    Object(String),
    /// The URL, certificates or kubeconfig to connect with are unusable.
    #[error("Kubernetes client: {0}")]
    Setup(String),
}

impl Error {
    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The object changed meanwhile, or is there already.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::AlreadyExists { .. })
    }

    /// The same call may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. }
        ) || matches!(self, Self::Api { code, .. } if *code >= 500)
    }

    /// From an HTTP status and the body, which is a `Status` object if the server made it.
    pub(crate) fn from_response(what: &str, code: u16, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| status.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let reason = text("reason").unwrap_or_default().to_owned();
        let message = text("message").map_or_else(|| plain(body), str::to_owned);
        let what = what.to_owned();
        match code {
            401 => Self::Unauthorized { what, message },
            403 => Self::Forbidden { what, message },
            404 => Self::NotFound { what, message },
            409 if reason == "AlreadyExists" => Self::AlreadyExists { what, message },
            409 => Self::Conflict { what, message },
            410 => Self::Gone { what, message },
            400 | 422 => Self::Invalid { what, message },
            429 | 503 => Self::Busy {
                what,
                code,
                retry_after,
                message,
            },
            _ => Self::Api { what, code, message },
        }
    }
}

/// The beginning of a body that is not a `Status`.
fn plain(body: &[u8]) -> String {
    const SHOWN: usize = 300;
    String::from_utf8_lossy(body.get(..SHOWN).unwrap_or(body))
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_kept_and_the_reason_decides_between_conflicts() {
        let body = br#"{"kind":"Status","reason":"AlreadyExists","message":"nodes \"a\" already exists"}"#;
        let error = Error::from_response("create nodes a", 409, None, body);
        assert!(matches!(error, Error::AlreadyExists { .. }));
        assert_eq!(
            error.to_string(),
            "create nodes a: already exists: nodes \"a\" already exists"
        );
        assert!(matches!(
            Error::from_response("x", 409, None, b"{}"),
            Error::Conflict { .. }
        ));
        assert!(Error::from_response("x", 500, None, b"etcd is away").is_transient());
        assert!(!Error::from_response("x", 403, None, b"").is_transient());
    }
}
