//! Rules about images.

use image_trust::{Key, Pattern, pattern};

use super::report::Report;
use crate::Document;
use crate::yaml::node::Node;

/// What a rule may say, one of them.
const DEMANDS: [&str; 4] = ["skip", "deny", "keyless", "publicKey"];

pub fn check(report: &mut Report<'_>) {
    for document in report.documents() {
        if document.kind() != "ImageVerificationConfig" {
            continue;
        }
        let rules = document.root.find("rules").and_then(Node::as_list).unwrap_or_default();
        for (number, rule) in rules.iter().enumerate() {
            Checked {
                document,
                rule,
                number: number.to_string(),
            }
            .check(report);
        }
        if !rules.is_empty() {
            identity_tokens(report, document);
        }
    }
}

/// containerd asks registries in another way when it has images verified, and has no place for tokens then.
fn identity_tokens(report: &mut Report<'_>, document: &Document) {
    let registries = crate::view::registries(report.config);
    for (host, auth) in registries.auths {
        if !auth.identity_token.is_empty() {
            let message = format!("pods' images come from {host} without its identityToken while images are verified");
            let fix = Some("give username and password for the registry".to_owned());
            report.warning(document, &["rules"], message, fix);
        }
    }
}

/// A rule that is being checked.
struct Checked<'a> {
    document: &'a Document,
    rule: &'a Node,
    number: String,
}

impl Checked<'_> {
    fn path<'a>(&'a self, steps: &[&'a str]) -> Vec<&'a str> {
        [&["rules", self.number.as_str()], steps].concat()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.rule
            .find(key)
            .and_then(Node::as_text)
            .filter(|text| !text.is_empty())
    }

    fn check(&self, report: &mut Report<'_>) {
        self.image(report);
        self.demands(report);
        self.keyless(report);
        if let Some(pem) = self.text("publicKey.certificate")
            && let Err(error) = Key::from_pem(pem)
        {
            let fix = Some("give a certificate or a public key as PEM, for example cosign.pub".to_owned());
            report.error(
                self.document,
                &self.path(&["publicKey", "certificate"]),
                error.to_string(),
                fix,
            );
        }
    }

    fn image(&self, report: &mut Report<'_>) {
        let Some(text) = self.text("image") else {
            return;
        };
        if let Err(error) = Pattern::parse(text) {
            let message = format!("{text:?} is not a pattern: {error}");
            report.error(self.document, &self.path(&["image"]), message, None);
        } else if let Some(why) = pattern::never(text) {
            let message = format!("{text:?} matches no image: {why}");
            report.warning(self.document, &self.path(&["image"]), message, None);
        }
    }

    fn demands(&self, report: &mut Report<'_>) {
        let says = |key: &&&str| match self.rule.find(key) {
            Some(node) => node.as_bool().unwrap_or_else(|| node.as_map().is_some()),
            None => false,
        };
        let given: Vec<&str> = DEMANDS.iter().filter(says).copied().collect();
        let fix = Some("give exactly one of skip, deny, keyless and publicKey".to_owned());
        match given.as_slice() {
            [_] => {}
            [] => report.error(
                self.document,
                &self.path(&[]),
                "the rule says nothing of its images",
                fix,
            ),
            [first, others @ ..] => {
                let message = format!("{first} is given too");
                for other in others {
                    report.error(self.document, &self.path(&[other]), message.clone(), fix.clone());
                }
            }
        }
    }

    fn keyless(&self, report: &mut Report<'_>) {
        if self.rule.find("keyless").and_then(Node::as_map).is_none() {
            return;
        }
        let fix = Some("give one of subject and subjectRegex".to_owned());
        match (self.text("keyless.subject"), self.text("keyless.subjectRegex")) {
            (None, None) => {
                report.error(
                    self.document,
                    &self.path(&["keyless"]),
                    "nobody is named who may sign",
                    fix,
                );
            }
            (Some(_), Some(_)) => {
                let path = ["keyless", "subjectRegex"];
                report.error(self.document, &self.path(&path), "subject is given too", fix);
            }
            (None, Some(text)) => self.regex(report, text),
            (Some(_), None) => {}
        }
    }

    fn regex(&self, report: &mut Report<'_>, text: &str) {
        let path = ["keyless", "subjectRegex"];
        if let Err(error) = regex_lite::Regex::new(text) {
            let message = format!("{text:?} is not a regular expression: {error}");
            report.error(self.document, &self.path(&path), message, None);
        } else if !(text.starts_with('^') && text.ends_with('$')) {
            let message = format!("{text:?} may match any part of a name, so that others have names that it matches");
            let fix = Some("begin it with ^ and end it with $, and write \\. for a dot".to_owned());
            report.warning(self.document, &self.path(&path), message, fix);
        }
    }
}
