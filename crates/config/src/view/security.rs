//! What the machine trusts.

use image_trust::{Keyless, Rule};

use crate::Config;
use crate::model::security::{ImageVerificationConfig, ImageVerificationRule};

/// The rules about images, in their order.
pub fn image_rules(config: &Config) -> Vec<Rule> {
    let documents = config.all::<ImageVerificationConfig>();
    documents.into_iter().flat_map(|d| d.rules).map(rule).collect()
}

fn rule(rule: ImageVerificationRule) -> Rule {
    let keyless = rule.keyless.map(|keyless| Keyless {
        issuer: keyless.issuer.unwrap_or_default(),
        subject: keyless.subject.unwrap_or_default(),
        subject_regex: keyless.subject_regex.unwrap_or_default(),
    });
    Rule {
        image: rule.image.unwrap_or_default(),
        skip: rule.skip.unwrap_or_default(),
        deny: rule.deny.unwrap_or_default(),
        keyless,
        public_key: rule.public_key.map(|key| key.certificate.unwrap_or_default()),
    }
}
