//! Taking secrets out of a stream of text, whatever wrote them there.
//!
//! Nothing that is collected should have a secret in it: types of resources that are sensitive are left out, and the
//! machine configuration is redacted by its schema. This is the second line: values that are known to be secret, and
//! everything that looks like a private key, are replaced wherever they turn up.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{REDACTED, Secret};

/// Shorter texts are not searched for: they would be found everywhere.
const SHORTEST: usize = 6;
/// A line is looked at as a whole up to this length, in bytes.
const LONGEST_LINE: usize = 1 << 20;

const BEGIN: &str = "-----BEGIN ";
const KEY: &str = "PRIVATE KEY-----";
const END: &str = "-----END ";
/// `-----BEGIN ` in base64, as far as it does not depend on what follows.
const BEGIN_BASE64: &str = "LS0tLS1CRUdJTi";

/// Texts that must not be shown, found by their first bytes.
#[derive(Debug, Default)]
pub struct Needles {
    by_start: HashMap<[u8; SHORTEST], Vec<Secret>>,
    longest: usize,
}

impl Needles {
    /// Of secrets. Those of several lines are searched for line by line; of `ID.SECRET`, as bootstrap tokens are, the
    /// second half too.
    pub fn of(secrets: &[Secret]) -> Self {
        let mut needles = Self::default();
        for secret in secrets {
            for line in secret.expose().split(|byte| *byte == b'\n') {
                needles.add(line.trim_ascii());
            }
            if let Some(dot) = secret.expose().iter().position(|byte| *byte == b'.') {
                needles.add(&secret.expose()[dot + 1..]);
            }
        }
        needles
    }

    fn add(&mut self, text: &[u8]) {
        // The first and last line of a key in PEM are no secret.
        if text.starts_with(b"-----") {
            return;
        }
        let Some(start) = text.first_chunk::<SHORTEST>() else {
            return;
        };
        self.longest = self.longest.max(text.len());
        let same = self.by_start.entry(*start).or_default();
        if !same.iter().any(|known| known.expose() == text) {
            same.push(Secret::new(text));
            // Where one secret begins another, the longer one is what is there.
            same.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        }
    }

    /// The length of the secret at the beginning of `text`, if there is one.
    fn at(&self, text: &[u8]) -> Option<usize> {
        let candidates = self.by_start.get(text.first_chunk::<SHORTEST>()?)?;
        let found = candidates.iter().find(|secret| text.starts_with(secret.expose()));
        found.map(|secret| secret.expose().len())
    }

    fn replace(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.first() {
            if let Some(length) = self.at(rest) {
                out.extend_from_slice(REDACTED.as_bytes());
                rest = &rest[length..];
            } else {
                out.push(*first);
                rest = &rest[1..];
            }
        }
        out
    }
}

/// One stream of text that is cleaned. It keeps at most one line.
#[derive(Debug)]
pub struct Scrub {
    needles: Arc<Needles>,
    pending: Vec<u8>,
    in_key: bool,
}

impl Scrub {
    /// A stream without these.
    pub fn new(needles: Arc<Needles>) -> Self {
        Self {
            needles,
            pending: Vec::new(),
            in_key: false,
        }
    }

    /// What can be told of the text so far, with a piece more.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(piece);
        let whole = match self.pending.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.pending.len() > LONGEST_LINE => {
                self.pending = self.needles.replace(&self.pending);
                // A secret that is not complete yet is in what stays.
                self.pending.len().saturating_sub(self.needles.longest)
            }
            None => return Vec::new(),
        };
        let rest = self.pending.split_off(whole);
        let text = std::mem::replace(&mut self.pending, rest);
        self.lines(&text)
    }

    /// What is left at the end.
    pub fn finish(mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.pending);
        self.lines(&text)
    }

    fn lines(&mut self, text: &[u8]) -> Vec<u8> {
        let text = self.needles.replace(text);
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        lines.flat_map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &[u8]) -> Vec<u8> {
        // Most lines need no second look.
        if !self.in_key && !contains(line, BEGIN) && !contains(line, BEGIN_BASE64) {
            return line.to_vec();
        }
        let text = String::from_utf8_lossy(line);
        without_encoded_keys(&self.without_keys(&text)).into_bytes()
    }

    /// Without private keys in PEM, whether of many lines or in one.
    fn without_keys(&mut self, text: &str) -> String {
        let (mut out, mut rest) = (String::new(), text);
        loop {
            if self.in_key {
                let Some(end) = rest.find(END) else { return out };
                let after = &rest[end..];
                rest = after.find(KEY).map_or("", |key| &after[key + KEY.len()..]);
                self.in_key = false;
                continue;
            }
            let Some(begin) = private_key(rest) else {
                out.push_str(rest);
                return out;
            };
            out.push_str(&rest[..begin]);
            out.push_str(REDACTED);
            rest = &rest[begin + BEGIN.len()..];
            self.in_key = true;
            // What stands for the many lines of a key is a line.
            if !rest.contains(END) {
                out.push('\n');
            }
        }
    }
}

fn contains(line: &[u8], word: &str) -> bool {
    line.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Where the first private key begins. Certificates begin alike.
fn private_key(text: &str) -> Option<usize> {
    let starts = text.match_indices(BEGIN).map(|(at, _)| at);
    starts.into_iter().find(|at| {
        let label = &text[at + BEGIN.len()..];
        label
            .find("-----")
            .is_some_and(|end| label[..end].ends_with("PRIVATE KEY"))
    })
}

/// Without private keys in PEM in base64, as configurations have them.
fn without_encoded_keys(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(BEGIN_BASE64) {
        let (before, run) = rest.split_at(at);
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
        let length = run.find(|c| !is_base64(c)).unwrap_or(run.len());
        // The label is within the first 48 bytes, which are 64 of base64.
        let head = &run[..length.min(64) / 4 * 4];
        let is_key = STANDARD
            .decode(head)
            .is_ok_and(|head: Vec<u8>| contains(&head, "PRIVATE KEY"));
        out.push_str(before);
        out.push_str(if is_key { REDACTED } else { &run[..length] });
        rest = &run[length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(secrets: &[&str], pieces: &[&str]) -> String {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(text.as_bytes())).collect();
        let mut scrub = Scrub::new(Arc::new(Needles::of(&secrets)));
        let mut out = Vec::new();
        for piece in pieces {
            out.extend(scrub.push(piece.as_bytes()));
        }
        out.extend(scrub.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_secret_is_found_also_where_pieces_meet() {
        let secrets = ["abcdef.0123456789abcdef", "hunter2"];
        let text = scrubbed(
            &secrets,
            &["token abcdef.01234567", "89abcdef and hun", "ter2\nid abcdef, hunter\n"],
        );
        assert_eq!(text, "token **REDACTED** and **REDACTED**\nid abcdef, hunter\n");
        assert_eq!(
            scrubbed(&secrets, &["token-secret: 0123456789abcdef"]),
            "token-secret: **REDACTED**"
        );
    }

    #[test]
    fn a_line_without_end_is_not_kept_in_memory_and_its_secrets_are_found() {
        let secrets = Needles::of(&[Secret::new(&b"hunter2hunter2"[..])]);
        let mut scrub = Scrub::new(Arc::new(secrets));
        let mut out = scrub.push(&vec![b'x'; LONGEST_LINE - 3]);
        out.extend(scrub.push(b"hunter"));
        assert!(out.len() > LONGEST_LINE / 2 && scrub.pending.len() < 64);
        out.extend(scrub.push(b"2hunter2xx"));
        out.extend(scrub.finish());
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("xxx**REDACTED**xx"), "{}", &text[text.len() - 40..]);
    }

    #[test]
    fn private_keys_are_replaced_and_certificates_stay() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcC\nAQEE\n-----END EC PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let text = scrubbed(&[], &["a\n", certificate, key, "b\n"]);
        assert_eq!(text, format!("a\n{certificate}**REDACTED**\n\nb\n"));
        let quoted = format!("{{\"key\":{key:?},\"crt\":{certificate:?}}}\n");
        assert_eq!(
            scrubbed(&[], &[&quoted]),
            format!("{{\"key\":\"**REDACTED**\\n\",\"crt\":{certificate:?}}}\n")
        );
        let encoded = format!("key: {}\ncrt: {}\n", STANDARD.encode(key), STANDARD.encode(certificate));
        let clean = scrubbed(&[], &[&encoded]);
        assert_eq!(
            clean,
            format!("key: **REDACTED**\ncrt: {}\n", STANDARD.encode(certificate))
        );
    }

    #[test]
    fn a_key_of_several_lines_is_found_by_any_of_them() {
        let key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----\n";
        assert_eq!(scrubbed(&[key], &["x MC4CAQAwBQYDK2VwBCIE y"]), "x **REDACTED** y");
    }
}
