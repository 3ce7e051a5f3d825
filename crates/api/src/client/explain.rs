//! What a failed call means, for a person.

use std::error::Error;

use tonic::{Code, Status};

/// The whole reason of a failed call: the message, what caused it, and what can be done where that is known.
pub fn explain(status: &Status) -> String {
    let mut parts = vec![status.message().to_owned()];
    let mut source = status.source();
    while let Some(error) = source {
        let text = error.to_string();
        // The library's word for "that did not work".
        if text != "transport error" && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = error.source();
    }
    let text = parts.join(": ");
    let text = text.trim_end_matches(": transport error");
    match hint(text).or_else(|| unreachable(status.code(), text)) {
        Some(hint) => format!("{text} ({hint})"),
        None => text.to_owned(),
    }
}

fn hint(text: &str) -> Option<&'static str> {
    // The words are those of TLS alerts (RFC 8446, section 6.2) and of rustls' certificate errors.
    const HINTS: [(&str, &str); 10] = [
        (
            "alert: CertificateExpired",
            "your client certificate has expired: get a new one",
        ),
        (
            "alert: CertificateRequired",
            "the node wants a client certificate: it is configured already, leave out --insecure",
        ),
        (
            "alert: UnknownCA",
            "the node does not know the authority of your client certificate: is this its cluster's configuration?",
        ),
        (
            "alert: DecryptError",
            "the node does not trust your client certificate: is this its cluster's configuration?",
        ),
        (
            "certificate: UnknownIssuer",
            "the node's certificate is not of the authority in your configuration: another cluster, or a node in maintenance (--insecure)",
        ),
        (
            "certificate: BadSignature",
            "the node's certificate is not of the authority in your configuration",
        ),
        (
            "not valid for name",
            "the node's certificate does not name this endpoint: add it to machine.certSANs",
        ),
        (
            "certificate expired",
            "the node's certificate has expired, or the clock of this machine or of the node is wrong",
        ),
        (
            "certificate not valid yet",
            "the clock of this machine or of the node is wrong",
        ),
        ("was not registered", "`service` lists the services, and each has a log"),
    ];
    HINTS
        .iter()
        .find(|(word, _)| text.contains(word))
        .map(|(_, hint)| *hint)
}

/// What to do about an endpoint or node that nobody can connect to. What a node says of its own services, in the same
/// words, has another code.
fn unreachable(code: Code, text: &str) -> Option<&'static str> {
    if code != Code::Unavailable || !text.starts_with("connect to ") {
        return None;
    }
    let name = text.contains("no such name") || text.contains("the name has no address");
    Some(if name {
        "nobody knows this name: is it written right (-e for endpoints, -n for nodes), and does this machine's name server know it?"
    } else {
        "is the node up, and are the addresses right (-e for endpoints, -n for nodes)? `cluster show` shows a local cluster's"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once_and_known_ones_with_a_hint() {
        let cause = std::io::Error::other("received fatal alert: CertificateExpired");
        let text = explain(&Status::from_error(Box::new(cause)));
        assert_eq!(text.matches("CertificateExpired").count(), 1, "{text}");
        assert!(text.contains("get a new one"), "{text}");
    }

    #[test]
    fn an_address_that_nobody_answers_at_comes_with_what_to_look_at() {
        let refused = explain(&Status::unavailable(
            "connect to 10.5.0.9:50000: Connection refused: transport error",
        ));
        assert!(
            refused.starts_with("connect to 10.5.0.9:50000: Connection refused (is the node up"),
            "{refused}"
        );
        let unknown = explain(&Status::unavailable(
            "connect to nowhere:50000: resolve nowhere: no such name",
        ));
        assert!(unknown.contains("nobody knows this name"), "{unknown}");
        let other = "connect to 127.0.0.1:2379: Connection refused";
        assert_eq!(explain(&Status::failed_precondition(other)), other);
    }
}
