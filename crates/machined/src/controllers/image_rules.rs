//! The rules about images, as resources. Who judges images reads them from the same configuration
//! ([`super::registries::NodePuller`]).

use node_resources::config::MachineConfig;
use node_resources::security::{ImageKeylessVerifierSpec, ImagePublicKeyVerifierSpec, ImageVerificationRule};
use resource::{One, Outputs};

use crate::machine_config::parsed;

/// The rules of the configuration; their names have their order.
pub fn rules(config: One<MachineConfig>) -> anyhow::Result<Outputs<ImageVerificationRule>> {
    let rules = config::view::image_rules(&*parsed(&config)?);
    let resource = |rule: image_trust::Rule| ImageVerificationRule {
        image_pattern: rule.image,
        skip: rule.skip,
        deny: rule.deny,
        keyless_verifier: rule.keyless.map(|keyless| ImageKeylessVerifierSpec {
            issuer: keyless.issuer,
            subject: keyless.subject,
            subject_regex: keyless.subject_regex,
        }),
        public_key_verifier: rule
            .public_key
            .map(|certificate| ImagePublicKeyVerifierSpec { certificate }),
    };
    let named = |(number, rule)| (format!("{number:04}"), resource(rule));
    Ok(rules.into_iter().enumerate().map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_listed_in_the_order_in_which_they_are_tried() {
        let lines: String = (0..12)
            .map(|n| format!("- {{image: 'r{n}.example/*', deny: true}}\n"))
            .collect();
        let text = format!("apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules:\n{lines}");
        let listed = rules(One::from(MachineConfig(text))).unwrap();
        let patterns: Vec<_> = listed.iter().map(|(_, rule)| rule.image_pattern.clone()).collect();
        let expected: Vec<_> = (0..12).map(|n| format!("r{n}.example/*")).collect();
        assert_eq!(patterns, expected);
        assert!(listed.get("0011").is_some_and(|rule| rule.deny && !rule.skip));
    }
}
