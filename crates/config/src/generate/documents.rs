//! The documents beside the main one.

use super::Input;
use crate::Document;
use crate::model::cri::{RegistryEndpoint, RegistryMirrorConfig};
use crate::model::host::HostnameConfig;
use crate::model::mesh::KubeSpanConfig;

pub(super) fn all(input: &Input) -> Vec<Document> {
    let mut documents = Vec::new();
    for (host, urls) in input.mirrors() {
        let endpoint = |url: &&str| RegistryEndpoint {
            url: Some((*url).to_owned()),
            override_path: None,
        };
        documents.push(Document::of(&RegistryMirrorConfig {
            name: Some(host.to_owned()),
            endpoints: urls.iter().map(endpoint).collect(),
            skip_fallback: None,
        }));
    }
    documents.push(Document::of(&HostnameConfig {
        auto: Some("stable".into()),
        hostname: None,
    }));
    if input.with_kubespan {
        documents.push(Document::of(&KubeSpanConfig {
            enabled: Some(true),
            ..KubeSpanConfig::default()
        }));
    }
    documents
}
