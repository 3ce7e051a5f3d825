//! What the machine trusts.

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Which images may be pulled, and what they must be signed with.
    pub struct ImageVerificationConfig: "security.ImageVerificationConfigV1Alpha1", kind "ImageVerificationConfig" {
        /// Rules. The first that matches an image decides; an image that none matches may be pulled.
        rules: Vec<ImageVerificationRule> = "rules";
    }

    /// A rule about images: exactly one of `skip`, `deny`, `keyless` and `publicKey`.
    pub struct ImageVerificationRule: "security.ImageVerificationRuleV1Alpha1" {
        /// Pattern over registry and repository, without tag and digest: `*` is any characters, also slashes, `?` is one,
        /// `[a-z]` is one of these. Names are complete: `docker.io/library/nginx`.
        image: Option<String> = "image".required();
        /// These images may be pulled without a signature.
        skip: Option<bool> = "skip";
        /// These images may not be pulled.
        deny: Option<bool> = "deny";
        /// These images must be signed by somebody whom an identity provider knows, without a key of their own (sigstore).
        keyless: Option<ImageKeylessVerifier> = "keyless";
        /// These images must be signed with a key.
        public_key: Option<ImagePublicKeyVerifier> = "publicKey";
    }

    /// Somebody whom an identity provider knows: exactly one of `subject` and `subjectRegex`.
    pub struct ImageKeylessVerifier: "security.ImageKeylessVerifierV1Alpha1" {
        /// URL of the identity provider, as it is in certificates: `https://accounts.google.com`,
        /// `https://token.actions.githubusercontent.com`.
        issuer: Option<String> = "issuer".required().format(Format::Url(&["https", "http"]));
        /// Name of the signer there, as it is in certificates: an address of e-mail, or the URI of a workflow.
        subject: Option<String> = "subject";
        /// Regular expression for the name of the signer. It may match any part of the name unless it begins with `^` and
        /// ends with `$`.
        subject_regex: Option<String> = "subjectRegex";
    }

    /// A key that signs images.
    pub struct ImagePublicKeyVerifier: "security.ImagePublicKeyVerifierV1Alpha1" {
        /// A certificate or a public key, PEM: ECDSA (P-256, P-384), Ed25519 or RSA. Of a certificate only the key counts.
        certificate: Option<String> = "certificate".required();
    }
}
