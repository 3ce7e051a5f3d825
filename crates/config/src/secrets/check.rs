//! Is every field of a secrets bundle there and right?

use pki::{Authority, CertAndKey, PrivateKey, Secret};

use super::{Error, SecretsBundle};
use crate::problem::Problem;
use crate::schema::field::decode_base64;

impl SecretsBundle {
    /// Checks every field; all that is missing or wrong is reported together.
    pub fn check(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut report = |path: &str, message: Option<String>| {
            problems.extend(message.map(|message| Problem::new(message).path(path)));
        };
        report(
            "cluster.id",
            self.cluster_id.is_empty().then(|| "is missing".to_owned()),
        );
        report("cluster.secret", encryption_key(&self.cluster_secret, &[32]));
        report("secrets.bootstraptoken", token(&self.bootstrap_token));
        report("trustdinfo.token", token(&self.trustd_token));
        match (&self.secretbox_encryption_secret, &self.aescbc_encryption_secret) {
            (Some(_), Some(_)) => report(
                "secrets",
                Some(
                    "has both secretboxencryptionsecret and aescbcencryptionsecret; keep the one the cluster uses"
                        .into(),
                ),
            ),
            (None, None) => report("secrets.secretboxencryptionsecret", Some("is missing".into())),
            (Some(secretbox), None) => report("secrets.secretboxencryptionsecret", encryption_key(secretbox, &[32])),
            (None, Some(aescbc)) => report("secrets.aescbcencryptionsecret", encryption_key(aescbc, &[16, 24, 32])),
        }
        report("certs.etcd", authority(&self.etcd));
        report("certs.k8s", authority(&self.kubernetes));
        report("certs.k8saggregator", authority(&self.aggregator));
        report("certs.k8sserviceaccount.key", private_key(&self.service_account_key));
        report("certs.os", authority(&self.os));
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(problems))
        }
    }
}

fn encryption_key(secret: &Secret, lengths: &[usize]) -> Option<String> {
    if secret.is_empty() {
        return Some("is missing".into());
    }
    match secret.expose_str().ok().and_then(decode_base64) {
        None => Some("is not base64".into()),
        Some(bytes) if lengths.contains(&bytes.len()) => None,
        Some(bytes) => Some(format!(
            "has {} bytes instead of {}",
            bytes.len(),
            lengths[lengths.len() - 1]
        )),
    }
}

/// A token is six characters, a dot and sixteen characters of `[a-z0-9]`.
pub(crate) fn token(secret: &Secret) -> Option<String> {
    let right = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match secret.expose_str().ok().and_then(|text| text.split_once('.')) {
        _ if secret.is_empty() => Some("is missing".into()),
        Some((id, key)) if right(id, 6) && right(key, 16) => None,
        _ => Some("is not six and sixteen characters of a-z and 0-9 with a dot between".into()),
    }
}

fn authority(pair: &CertAndKey) -> Option<String> {
    match (pair.crt.is_empty(), pair.key.is_empty()) {
        (true, true) => Some("is missing".into()),
        (true, false) => Some("has no certificate (crt)".into()),
        (false, true) => Some("has no private key (key)".into()),
        (false, false) => Authority::from_pair(pair)
            .err()
            .map(|error| format!("cannot be used: {error}")),
    }
}

fn private_key(key: &Secret) -> Option<String> {
    if key.is_empty() {
        return Some("is missing".into());
    }
    PrivateKey::from_pem(key.expose())
        .err()
        .map(|error| format!("cannot be used: {error}"))
}
