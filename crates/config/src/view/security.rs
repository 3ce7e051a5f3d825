//! What the machine trusts.

use image_trust::{Keyless, Rule, TrustRoot};

use crate::Config;
use crate::model::security::{ImageVerificationConfig, ImageVerificationRule};

/// The file of `machine.files` that says whom keyless signatures are traced back to, instead of the public good instance of
/// sigstore: a `trusted_root.json`. It is read from the configuration, and nowhere else.
pub const TRUST_ROOT: &str = "/etc/sigstore/trusted_root.json";

/// The document that says whom keyless signatures are traced back to.
pub fn trust_root_document(config: &Config) -> String {
    let mut files = super::machine_files(config).into_iter();
    let given = files.rfind(|file| file.path == TRUST_ROOT);
    given.map_or_else(|| TrustRoot::public_good_document().to_owned(), |file| file.content)
}

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
