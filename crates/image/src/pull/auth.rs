//! Credentials, and the token scheme of distribution registries.

use std::fmt;

/// Credentials for a registry. Debug does not show them.
#[derive(Clone, PartialEq)]
pub enum Auth {
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A bearer token.
    Bearer(String),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::Basic { .. } => "Basic(**REDACTED**)",
            Auth::Bearer(_) => "Bearer(**REDACTED**)",
        })
    }
}

impl Auth {
    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        use base64::Engine as _;
        match self {
            Auth::Basic { username, password } => {
                let text = format!("{username}:{password}");
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
            }
            Auth::Bearer(token) => format!("Bearer {token}"),
        }
    }
}

/// What a registry wants to see before it answers.
#[derive(Debug, PartialEq)]
pub(crate) struct Challenge {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scope: Option<String>,
}

impl Challenge {
    /// Reads `Bearer realm="…",service="…",scope="…"`.
    pub(crate) fn parse(header: &str) -> Option<Challenge> {
        let rest = header
            .trim()
            .strip_prefix("Bearer ")
            .or_else(|| header.trim().strip_prefix("bearer "))?;
        let mut challenge = Challenge {
            realm: String::new(),
            service: None,
            scope: None,
        };
        let mut rest = rest.trim();
        while let Some((key, tail)) = rest.split_once('=') {
            let tail = tail.strip_prefix('"')?;
            let (value, tail) = tail.split_once('"')?;
            match key.trim_matches([',', ' ']) {
                "realm" => challenge.realm = value.to_owned(),
                "service" => challenge.service = Some(value.to_owned()),
                "scope" => challenge.scope = Some(value.to_owned()),
                _ => {}
            }
            rest = tail;
        }
        (!challenge.realm.is_empty()).then_some(challenge)
    }

    /// Where to get a token.
    pub(crate) fn url(&self, repository: &str) -> String {
        let scope = self
            .scope
            .clone()
            .unwrap_or_else(|| format!("repository:{repository}:pull"));
        let mut url = self.realm.clone();
        url.push(if url.contains('?') { '&' } else { '?' });
        if let Some(service) = &self.service {
            url.push_str(&format!("service={}&", encode(service)));
        }
        url.push_str(&format!("scope={}", encode(&scope)));
        url
    }
}

/// Percent-encodes a query value.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_names_the_token_service() {
        let header = r#"Bearer realm="https://auth.h.io/token",service="h.io",scope="repository:a/b:pull,push""#;
        let challenge = Challenge::parse(header).unwrap();
        assert_eq!(
            challenge.url("x"),
            "https://auth.h.io/token?service=h.io&scope=repository:a/b:pull%2Cpush"
        );
        assert_eq!(Challenge::parse("Basic realm=\"x\""), None);
        assert_eq!(Challenge::parse("Bearer realm=\"x"), None);
    }

    #[test]
    fn credentials_do_not_show_in_debug_output() {
        let auth = Auth::Basic {
            username: "me".into(),
            password: "hunter2".into(),
        };
        assert!(!format!("{auth:?}").contains("hunter2"));
        assert_eq!(auth.header(), "Basic bWU6aHVudGVyMg==");
    }
}
