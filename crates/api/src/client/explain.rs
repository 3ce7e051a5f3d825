//! What a failed call means, for a person.

use std::error::Error;

use tonic::Status;

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
    match hint(text) {
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
        (
            "was not registered",
            "`service` lists the services, and each has a log; so has `controller-runtime`",
        ),
    ];
    HINTS
        .iter()
        .find(|(word, _)| text.contains(word))
        .map(|(_, hint)| *hint)
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
}
