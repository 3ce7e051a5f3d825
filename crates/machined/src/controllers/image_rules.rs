//! The rules about images, as resources.

use node_resources::config::MachineConfig;
use node_resources::keelson::ImagePolicy;
use node_resources::security::{ImageKeylessVerifierSpec, ImagePublicKeyVerifierSpec, ImageVerificationRule};
use resource::{One, Outputs};

use crate::machine_config::parsed;

/// The rules of the configuration, all at once: what judges images reads this.
pub fn policy(config: One<MachineConfig>) -> anyhow::Result<Outputs<ImagePolicy>> {
    let rules = config::view::image_rules(&*parsed(&config)?);
    let rules = rules.into_iter().map(resource).collect();
    Ok(Outputs::one("rules", ImagePolicy { rules }))
}

/// The rules one by one, for who looks at them; their names have their order.
pub fn rules(policy: One<ImagePolicy>) -> Outputs<ImageVerificationRule> {
    let named = |(number, rule): (usize, &ImageVerificationRule)| (format!("{number:04}"), rule.clone());
    policy.rules.iter().enumerate().map(named).collect()
}

/// What judges images by the rules.
pub fn judge(policy: &ImagePolicy) -> image_trust::Policy {
    let rules: Vec<_> = policy.rules.iter().cloned().map(rule).collect();
    image_trust::Policy::new(&rules)
}

fn resource(rule: image_trust::Rule) -> ImageVerificationRule {
    ImageVerificationRule {
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
    }
}

fn rule(resource: ImageVerificationRule) -> image_trust::Rule {
    image_trust::Rule {
        image: resource.image_pattern,
        skip: resource.skip,
        deny: resource.deny,
        keyless: resource.keyless_verifier.map(|keyless| image_trust::Keyless {
            issuer: keyless.issuer,
            subject: keyless.subject,
            subject_regex: keyless.subject_regex,
        }),
        public_key: resource.public_key_verifier.map(|key| key.certificate),
    }
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
        let policy = policy(One::from(MachineConfig(text))).unwrap();
        let listed = rules(One::from(policy.get("rules").unwrap().clone()));
        let patterns: Vec<_> = listed.iter().map(|(_, rule)| rule.image_pattern.clone()).collect();
        let expected: Vec<_> = (0..12).map(|n| format!("r{n}.example/*")).collect();
        assert_eq!(patterns, expected);
        assert!(listed.get("0011").is_some_and(|rule| rule.deny && !rule.skip));
    }

    #[test]
    fn a_rule_judges_as_it_was_configured() {
        let (issuer, subject) = ("https://issuer.example".to_owned(), "me@example.org".to_owned());
        let keyless = image_trust::Keyless {
            issuer,
            subject,
            subject_regex: ".*".to_owned(),
        };
        let configured = [
            image_trust::Rule {
                image: "a.example/*".to_owned(),
                skip: true,
                deny: true,
                ..image_trust::Rule::default()
            },
            image_trust::Rule {
                image: "b.example/*".to_owned(),
                keyless: Some(keyless),
                public_key: Some("PEM".to_owned()),
                ..image_trust::Rule::default()
            },
        ];
        for before in configured {
            assert_eq!(rule(resource(before.clone())), before);
        }
    }
}
