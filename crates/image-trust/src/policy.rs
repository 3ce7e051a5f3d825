//! Rules in order: the first that matches an image's name decides. What no rule matches is allowed.
//!
//! A rule that cannot be read refuses what it matches, and everything if not even that can be read: configurations are
//! checked before they are applied, so this is the last line.

use std::sync::Arc;

use crate::Signatory;
use crate::key::Key;
use crate::keyless::{Identity, TrustRoot};
use crate::pattern::Pattern;

/// Where rules come from, in sentences.
const SOURCE: &str = "ImageVerificationConfig";

/// A rule, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Which images, see [`Pattern`].
    pub image: String,
    /// They may come without a signature.
    pub skip: bool,
    /// They may not come.
    pub deny: bool,
    /// They must be signed by somebody whom an identity provider knows.
    pub keyless: Option<Keyless>,
    /// They must be signed with this key: a certificate or a public key, PEM.
    pub public_key: Option<String>,
}

/// Somebody whom an identity provider knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyless {
    /// URL of the provider.
    pub issuer: String,
    /// Name there.
    pub subject: String,
    /// Or a regular expression for it, which may match any part of it.
    pub subject_regex: String,
}

/// What a rule demands, read.
#[derive(Clone, Debug)]
enum Demand {
    Nothing,
    Signature(Signatory),
    /// It cannot be met.
    Impossible(String),
}

#[derive(Clone, Debug)]
struct Read {
    pattern: Pattern,
    demand: Demand,
    /// How sentences call the rule.
    called: String,
}

/// The rules of a node.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Read>,
}

/// What the rules say of an image.
#[derive(Clone, Debug)]
pub enum Decision<'a> {
    /// It may come, without a signature; why.
    Allowed(String),
    /// It may not come, whatever is signed; why.
    Refused(String),
    /// It may come if this signatory signed it.
    Signed {
        /// Who.
        by: &'a Signatory,
        /// How sentences call the rule that says so.
        rule: &'a str,
    },
}

impl Policy {
    /// Reads rules. Keyless signatures are traced back to the public good instance of sigstore.
    pub fn new(rules: &[Rule]) -> Self {
        Self::trusting(rules, &TrustRoot::public_good())
    }

    /// Reads rules. Keyless signatures are traced back to this trust root.
    pub fn trusting(rules: &[Rule], root: &Arc<TrustRoot>) -> Self {
        let read = |(number, rule): (usize, &Rule)| read(number + 1, rule, root);
        Self {
            rules: rules.iter().enumerate().map(read).collect(),
        }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules say of an image with this name, as [`crate::pattern::name`] gives it.
    pub fn decide(&self, name: &str) -> Decision<'_> {
        let Some(rule) = self.rules.iter().find(|rule| rule.pattern.matches(name)) else {
            return Decision::Allowed(format!("no rule of {SOURCE} matches {name}"));
        };
        match &rule.demand {
            Demand::Nothing => Decision::Allowed(format!("{} asks for no signature", rule.called)),
            Demand::Impossible(why) => Decision::Refused(format!("{name}: {} {why}", rule.called)),
            Demand::Signature(by) => Decision::Signed { by, rule: &rule.called },
        }
    }
}

fn read(number: usize, rule: &Rule, root: &Arc<TrustRoot>) -> Read {
    let called = format!("rule {number} ({}) of {SOURCE}", rule.image);
    match Pattern::parse(&rule.image) {
        Ok(pattern) => Read {
            pattern,
            demand: demand(rule, root),
            called,
        },
        Err(error) => Read {
            pattern: Pattern::everything(),
            demand: Demand::Impossible(format!("cannot be read, so no image may come: {error}")),
            called,
        },
    }
}

fn demand(rule: &Rule, root: &Arc<TrustRoot>) -> Demand {
    match (rule.skip, rule.deny, &rule.keyless, &rule.public_key) {
        (true, false, None, None) => Demand::Nothing,
        (false, true, None, None) => Demand::Impossible("denies it".to_owned()),
        (false, false, Some(keyless), None) => {
            match Identity::new(&keyless.issuer, &keyless.subject, &keyless.subject_regex) {
                Ok(identity) => Demand::Signature(Signatory::Identity(identity, root.clone())),
                Err(error) => Demand::Impossible(format!("is keyless and cannot be met, so it is refused: {error}")),
            }
        }
        (false, false, None, Some(pem)) => match Key::from_pem(pem) {
            Ok(key) => Demand::Signature(Signatory::Key(key)),
            Err(error) => Demand::Impossible(format!("has a key that cannot be used, so it is refused: {error}")),
        },
        _ => Demand::Impossible("does not say one thing, so it is refused".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::pair;

    fn rule(image: &str) -> Rule {
        Rule {
            image: image.to_owned(),
            ..Rule::default()
        }
    }

    fn refused(rules: &[Rule], name: &str) -> String {
        match Policy::new(rules).decide(name) {
            Decision::Refused(why) => why,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let (pem, _) = pair();
        let rules = [
            Rule {
                skip: true,
                ..rule("ghcr.io/me/free/*")
            },
            Rule {
                public_key: Some(pem.clone()),
                ..rule("ghcr.io/me/*")
            },
            Rule {
                deny: true,
                ..rule("*")
            },
        ];
        let policy = Policy::new(&rules);
        let Decision::Allowed(why) = policy.decide("ghcr.io/me/free/app") else {
            panic!("a rule that asks for nothing");
        };
        assert!(why.contains("rule 1 (ghcr.io/me/free/*)"), "{why}");
        let expected = Key::from_pem(&pem).unwrap();
        let decision = policy.decide("ghcr.io/me/app");
        assert!(
            matches!(decision, Decision::Signed { by: Signatory::Key(key), rule } if *key == expected && rule.contains("rule 2")),
            "{:?}",
            policy.decide("ghcr.io/me/app")
        );
        assert!(refused(&rules, "docker.io/library/nginx").contains("rule 3 (*)"));
        let Decision::Allowed(why) = Policy::new(&rules[..2]).decide("docker.io/library/nginx") else {
            panic!("nothing matches");
        };
        assert!(why.contains("no rule"), "{why}");
    }

    #[test]
    fn what_cannot_be_met_or_read_refuses() {
        let keyless = Rule {
            keyless: Some(Keyless::default()),
            ..rule("a.example/*")
        };
        assert!(refused(&[keyless], "a.example/x").contains("it names no issuer"));
        let wrong_key = Rule {
            public_key: Some("nothing".to_owned()),
            ..rule("a.example/*")
        };
        refused(&[wrong_key], "a.example/x");
        refused(&[rule("a.example/*")], "a.example/x");
        let both = Rule {
            skip: true,
            deny: true,
            ..rule("a.example/*")
        };
        refused(&[both], "a.example/x");
        let unreadable = Rule {
            skip: true,
            ..rule("a.example/[")
        };
        refused(&[unreadable], "b.example/x");
    }
}
