//! The rules about images, as resources.

use std::sync::Arc;

use image_trust::TrustRoot;
use node_resources::config::MachineConfig;
use node_resources::keelson::ImagePolicy;
use node_resources::security::{
    ImageKeylessVerifierSpec, ImagePublicKeyVerifierSpec, ImageVerificationRule, TUFTrustedRoot,
};
use resource::{One, Outputs};

use crate::machine_config::parsed;

/// The rules of the configuration, all at once: what judges images reads this.
pub fn policy(config: One<MachineConfig>) -> anyhow::Result<Outputs<ImagePolicy>> {
    let config = parsed(&config)?;
    let rules = config::view::image_rules(&config);
    let keyless = rules.iter().any(|rule| rule.keyless.is_some());
    let policy = ImagePolicy {
        rules: rules.into_iter().map(resource).collect(),
        trust_root: if keyless {
            config::view::trust_root_document(&config)
        } else {
            String::new()
        },
    };
    Ok(Outputs::one("rules", policy))
}

/// The rules one by one, for who looks at them; their names have their order.
pub fn rules(policy: One<ImagePolicy>) -> Outputs<ImageVerificationRule> {
    let named = |(number, rule): (usize, &ImageVerificationRule)| (format!("{number:04}"), rule.clone());
    policy.rules.iter().enumerate().map(named).collect()
}

/// Whom keyless signatures are traced back to, where a rule asks for such.
pub fn trust_root(policy: One<ImagePolicy>) -> Outputs<TUFTrustedRoot> {
    if policy.trust_root.is_empty() {
        return Outputs::none();
    }
    let root = TUFTrustedRoot {
        json_data: policy.trust_root.clone(),
        ..TUFTrustedRoot::default()
    };
    Outputs::one("trusted-root", root)
}

/// What judges images by the rules.
pub fn judge(policy: &ImagePolicy) -> image_trust::Policy {
    let rules: Vec<_> = policy.rules.iter().cloned().map(rule).collect();
    let root = match policy.trust_root.as_str() {
        // No rule is keyless.
        "" => TrustRoot::default(),
        // Where it cannot be read nobody is trusted: keyless rules refuse.
        document => TrustRoot::parse(document).unwrap_or_else(|error| {
            tracing::warn!("machine.files: {}: {error}", config::view::TRUST_ROOT);
            TrustRoot::default()
        }),
    };
    image_trust::Policy::trusting(&rules, &Arc::new(root))
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

    #[test]
    fn who_is_trusted_is_shown_where_a_rule_asks_for_it() {
        let shown = |text: &str| {
            let policy = policy(One::from(MachineConfig(text.to_owned()))).unwrap();
            trust_root(One::from(policy.get("rules").unwrap().clone()))
        };
        let rules = |rule: &str| format!("apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules: [{rule}]\n");
        assert!(shown(&rules("{image: '*', deny: true}")).is_empty());
        let keyless = rules("{image: '*', keyless: {issuer: 'https://i.example', subject: me}}");
        let public = shown(&keyless);
        let public = &public.get("trusted-root").unwrap().json_data;
        assert!(public.contains("rekor.sigstore.dev"));
        let path = config::view::TRUST_ROOT;
        let own = shown(&format!(
            "version: v1alpha1\nmachine:\n  files:\n  - {{path: {path}, content: own}}\n---\n{keyless}"
        ));
        assert_eq!(own.get("trusted-root").unwrap().json_data, "own");
    }
}
