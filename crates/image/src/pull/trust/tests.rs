use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_trust::Rule;
use pki::{KeyKind, PrivateKey};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::tests::{IMAGE, puller, put_image, serve_layout};
use super::*;
use crate::oci::{Descriptor, Layout};

/// A registry with an image, and somebody who signs.
struct Place {
    folder: tempfile::TempDir,
    layout: Layout,
    key: PrivateKey,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path().join("layout")).unwrap();
        put_image(&layout, IMAGE, "new");
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        Self { folder, layout, key }
    }

    fn digest(&self) -> Digest {
        self.layout.find(IMAGE).unwrap().unwrap().digest
    }

    fn rule(&self) -> Rule {
        Rule {
            image: "registry.k8s.io/*".to_owned(),
            public_key: Some(self.key.public_key_pem().unwrap()),
            ..Rule::default()
        }
    }

    /// Puts an image of one layer beside the image.
    fn artifact(&self, layer: Descriptor, content: &[u8]) -> Descriptor {
        self.layout.put(content).unwrap();
        self.layout.put(b"{}").unwrap();
        let manifest = Manifest {
            schema_version: 2,
            media_type: media_type::MANIFEST.into(),
            config: Descriptor::of(media_type::CONFIG, b"{}"),
            layers: vec![layer],
        };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        self.layout.put(&bytes).unwrap();
        Descriptor::of(media_type::MANIFEST, &bytes)
    }

    /// Signs a digest with a key, and keeps it where the image's signatures are.
    fn sign(&self, digest: &Digest, key: &PrivateKey) {
        let payload = json!({"critical": {
            "identity": {"docker-reference": "registry.k8s.io/app"},
            "image": {"docker-manifest-digest": digest.as_str()},
            "type": simple::TYPE,
        }, "optional": null});
        let payload = serde_json::to_vec(&payload).unwrap();
        let mut layer = Descriptor::of(simple::MEDIA_TYPE, &payload);
        let signature = STANDARD.encode(key.sign(&payload).unwrap());
        layer.annotations.insert(simple::SIGNATURE.to_owned(), signature);
        let descriptor = self.artifact(layer, &payload);
        let tag = simple::tag(self.digest().as_str());
        self.layout
            .tag(&format!("registry.k8s.io/app:{tag}"), &descriptor)
            .unwrap();
    }

    /// Signs the image with a bundle, listed under the tag for registries that list nothing.
    fn sign_with_bundle(&self) {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": self.digest().hex()}}],
            "predicateType": bundle::PREDICATE,
        });
        let payload = statement.to_string();
        let kind = "application/vnd.in-toto+json";
        let message = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
        let signature = self.key.sign(message.as_bytes()).unwrap();
        let bundle = json!({"dsseEnvelope": {
            "payload": STANDARD.encode(payload),
            "payloadType": kind,
            "signatures": [{"sig": STANDARD.encode(signature)}],
        }})
        .to_string();
        let kind = format!("{}.v0.3+json", bundle::MEDIA_TYPE);
        let artifact = self.artifact(Descriptor::of(&kind, bundle.as_bytes()), bundle.as_bytes());
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [{
            "mediaType": media_type::MANIFEST,
            "artifactType": kind,
            "digest": artifact.digest.as_str(),
            "size": artifact.size,
        }]});
        let bytes = index.to_string();
        self.layout.put(bytes.as_bytes()).unwrap();
        let tag = bundle::fallback_tag(self.digest().as_str());
        let descriptor = Descriptor::of(media_type::INDEX, bytes.as_bytes());
        self.layout
            .tag(&format!("registry.k8s.io/app:{tag}"), &descriptor)
            .unwrap();
    }

    /// Pulls the image by rules, after a mirror that does not answer.
    async fn pull(&self, rules: &[Rule]) -> Result<(), PullError> {
        let (url, _cancel) = serve_layout(&self.layout).await;
        let puller = puller(vec![Endpoint::new("http://127.0.0.1:1"), Endpoint::new(url)]);
        let target = self.folder.path().join("image");
        let pulled = puller
            .policy(Policy::new(rules))
            .pull(IMAGE, &target, &|_| {}, &CancellationToken::new())
            .await;
        assert_eq!(target.exists(), pulled.is_ok());
        pulled.map(drop)
    }

    async fn refusal(&self, rules: &[Rule]) -> String {
        match self.pull(rules).await.unwrap_err() {
            PullError::Refused { why, .. } => why.to_string(),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_image_comes_if_the_key_of_its_rule_signed_it() {
    let place = Place::new();
    let why = place.refusal(&[place.rule()]).await;
    assert!(
        why.contains("there is no signature") && why.contains("rule 1 (registry.k8s.io/*)"),
        "{why}"
    );
    let stranger = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    place.sign(&place.digest(), &stranger);
    let why = place.refusal(&[place.rule()]).await;
    assert!(why.contains("not by this key"), "{why}");
    place.sign(&Digest::of(b"another"), &place.key);
    let why = place.refusal(&[place.rule()]).await;
    assert!(why.contains("the image \"sha256:"), "{why}");
    place.sign(&place.digest(), &place.key);
    place.pull(&[place.rule()]).await.unwrap();
}

#[tokio::test]
async fn an_image_comes_if_a_bundle_that_refers_to_it_is_signed() {
    let place = Place::new();
    place.sign_with_bundle();
    place.pull(&[place.rule()]).await.unwrap();
}

#[tokio::test]
async fn an_image_that_changed_under_its_tag_has_no_signature() {
    let place = Place::new();
    place.sign(&place.digest(), &place.key);
    put_image(&place.layout, IMAGE, "changed");
    let why = place.refusal(&[place.rule()]).await;
    assert!(why.contains("there is no signature"), "{why}");
}

#[tokio::test]
async fn rules_without_a_key_decide_by_the_name() {
    let place = Place::new();
    let deny = Rule {
        image: "*".to_owned(),
        deny: true,
        ..Rule::default()
    };
    let skip = Rule {
        image: "registry.k8s.io/app".to_owned(),
        skip: true,
        ..Rule::default()
    };
    assert!(place.refusal(std::slice::from_ref(&deny)).await.contains("denies it"));
    // Nobody is asked about an image that may not come.
    let denied = Puller::new(super::super::tests::tls()).policy(Policy::new(std::slice::from_ref(&deny)));
    assert!(denied.may_ask_for(&IMAGE.parse().unwrap()).is_err());
    place.pull(&[skip, deny]).await.unwrap();
}

#[tokio::test]
async fn where_signatures_cannot_be_asked_for_no_image_comes() {
    let place = Place::new();
    let nowhere = puller(vec![Endpoint::new("http://127.0.0.1:1")]).policy(Policy::new(&[place.rule()]));
    let refused = nowhere
        .judge(&IMAGE.parse().unwrap(), &place.digest())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("http://127.0.0.1:1: "), "{refused}");
}

#[test]
fn credentials_are_given_to_one_host() {
    let auth = Auth::Bearer("t".to_owned());
    let mut puller = puller(vec![Endpoint::new("http://mirror:1/x"), Endpoint::new("http://other")]);
    puller.authorize("mirror:1", &auth);
    let given = |puller: &Puller, image: &str| {
        let endpoints = puller.endpoints(&image.parse().unwrap());
        endpoints
            .iter()
            .map(|endpoint| endpoint.auth.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(given(&puller, IMAGE), [true, false]);
    let mut plain = Puller::new(super::super::tests::tls());
    plain.authorize("ghcr.io", &auth);
    assert_eq!(given(&plain, "ghcr.io/a/b"), [true]);
    assert_eq!(given(&plain, "quay.io/a/b"), [false]);
}
