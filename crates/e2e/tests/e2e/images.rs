//! Which images a node lets come: by rules, and by signatures that are beside them in a registry.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::proto::machine::{ImageServiceVerifyRequest, ImageServiceVerifyResponse};
use base64::Engine as _;
use e2e::program::dist;
use e2e::run::Test;
use e2e::site::{folder, network};
use e2e::tests;
use e2e::wait::eventually;
use image::Digest;
use image::oci::{Descriptor, ImageDocument, Layout, Manifest, media_type};
use image::registry::{Options, Registry, serve};
use pki::{KeyKind, PrivateKey};
use serde_json::json;
use test_sigstore::{Signing, Sigstore};
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, worker};
use crate::effects::{node_name, with_patch};
use crate::kubernetes::IMAGE;
use crate::roles::issuer;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![images_come_by_the_rules_of_the_configuration]
}

const LIMIT: Duration = Duration::from_secs(180);
const SIGNED: &str = "signed.e2e.example/signed";
const UNSIGNED: &str = "signed.e2e.example/unsigned";
const DENIED: &str = "signed.e2e.example/denied";
/// Signed without a key of the signer's own, by somebody who may.
const KEYLESS: &str = "signed.e2e.example/keyless/good";
/// The same, by somebody who may not.
const STRANGE: &str = "signed.e2e.example/keyless/strange";
const ISSUER: &str = "https://issuer.e2e.example";
/// The tag of all of them.
const TAG: &str = "v1";

/// Puts the test image into a layout under another name; a label makes it an image of its own.
fn put(layout: &Layout, name: &str) -> Result<Digest> {
    let built = Layout::at(dist().join("images"));
    let image = built.find(IMAGE)?.context("the test image is not there")?;
    let mut manifest: Manifest = serde_json::from_slice(&built.read(&image.digest)?)?;
    let mut document: ImageDocument = serde_json::from_slice(&built.read(&manifest.config.digest)?)?;
    document.config.labels.insert("name".to_owned(), name.to_owned());
    for layer in &manifest.layers {
        layout.put(&built.read(&layer.digest)?)?;
    }
    let config = serde_json::to_vec(&document)?;
    layout.put(&config)?;
    manifest.config = Descriptor::of(media_type::CONFIG, &config);
    tag(layout, &format!("{name}:{TAG}"), &manifest)
}

fn tag(layout: &Layout, reference: &str, manifest: &Manifest) -> Result<Digest> {
    let bytes = serde_json::to_vec(manifest)?;
    let digest = layout.put(&bytes)?;
    layout.tag(reference, &Descriptor::of(media_type::MANIFEST, &bytes))?;
    Ok(digest)
}

/// What is signed of an image.
fn document(name: &str, digest: &Digest) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&json!({
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest.as_str()},
            "type": "cosign container image signature",
        },
        "optional": null,
    }))?)
}

/// Signs an image as `cosign sign --key` does.
fn sign(layout: &Layout, name: &str, digest: &Digest, key: &PrivateKey) -> Result<()> {
    let payload = document(name, digest)?;
    let signature = base64::engine::general_purpose::STANDARD.encode(key.sign(&payload)?);
    let annotations = [("dev.cosignproject.cosign/signature".to_owned(), signature)];
    attach(layout, name, digest, &payload, annotations.into())
}

/// Makes an image, and signs it as `cosign sign` does: with a key of the moment, certified by a sigstore.
fn keyless(layout: &Layout, name: &str, sigstore: &Sigstore, who: &str) -> Result<()> {
    let digest = put(layout, name)?;
    let payload = document(name, &digest)?;
    let annotations = sigstore.annotations(&Signing::now(ISSUER, who), &payload)?;
    attach(layout, name, &digest, &payload, annotations)
}

/// Puts a signed document beside an image, with its signature and what belongs to that in annotations.
fn attach(
    layout: &Layout,
    name: &str,
    digest: &Digest,
    payload: &[u8],
    annotations: BTreeMap<String, String>,
) -> Result<()> {
    let mut layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", payload);
    layer.annotations = annotations;
    layout.put(payload)?;
    layout.put(b"{}")?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.to_owned(),
        config: Descriptor::of(media_type::CONFIG, b"{}"),
        layers: vec![layer],
    };
    tag(layout, &format!("{name}:sha256-{}.sig", digest.hex()), &manifest).map(drop)
}

/// Serves a layout to the nodes until the process ends, and gives its URL.
fn registry(layout: &Path) -> Result<String> {
    let listener = std::net::TcpListener::bind((network().host(1), 0)).context("listen on the gateway's address")?;
    let url = format!("http://{}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let registry = Registry::new(Options {
        layout: Some(layout.to_owned()),
        ..Options::default()
    })?;
    let runtime = runtime()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            serve(listener, registry, CancellationToken::new()).await
        })
    });
    Ok(url)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Rules, and whom keyless signatures are traced back to.
fn rules(key: &PrivateKey, sigstore: &Sigstore) -> Result<String> {
    let root = sigstore.trusted_root()?.to_string();
    let pem = key.public_key_pem()?.replace('\n', "\n        ");
    Ok(format!(
        "machine:\n  files:\n  - {{path: /etc/sigstore/trusted_root.json, op: create, content: '{root}'}}\n---\n\
         apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules:\n  - {{image: {DENIED}, deny: true}}\n  \
         - image: signed.e2e.example/keyless/*\n    keyless: {{issuer: '{ISSUER}', subject: me@e2e.example}}\n  \
         - image: signed.e2e.example/*\n    publicKey:\n      certificate: |\n        {pem}\n"
    ))
}

/// Pulls an image on the worker; the error is what was said if it does not come.
fn pull(c: &Cluster, namespace: &str, name: &str) -> Result<()> {
    let image = format!("{name}:{TAG}");
    c.ask(worker(), &["image", "pull", "--namespace", namespace, &image])
        .map(drop)
}

/// That the node does not let an image come, and says why.
fn refused(c: &Cluster, namespace: &str, name: &str, why: &str) -> Result<()> {
    eventually(&format!("{name} to be refused in {namespace}"), LIMIT, || {
        match pull(c, namespace, name) {
            Ok(()) => anyhow::bail!("it came"),
            Err(error) => {
                ensure!(format!("{error:#}").contains(why), "{error:#}");
                Ok(())
            }
        }
    })
}

/// Starts a pod of an image on the worker.
fn start(c: &Cluster, pod: &str, name: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod},
        "spec": {
            "nodeName": node_name(c, worker())?,
            "restartPolicy": "Never",
            "containers": [
                {"name": "one", "image": format!("{name}:{TAG}"), "imagePullPolicy": "Always", "args": ["echo", "came"]},
            ],
        },
    });
    let applied = c.kubectl.run_with_input(&["apply", "-f", "-"], &pod.to_string())?;
    applied.output().map(drop)
}

fn runs(c: &Cluster, pod: &str) -> Result<()> {
    eventually(&format!("the pod {pod}"), LIMIT, || {
        let status = c.kube_json(&["get", "pod", pod])?["status"].clone();
        ensure!(status["phase"] == "Succeeded", "{status}");
        Ok(())
    })
}

/// That a pod waits for its image, and an event says why.
fn waits(c: &Cluster, pod: &str, why: &str) -> Result<()> {
    eventually(&format!("an event of the pod {pod}"), LIMIT, || {
        let of_pod = format!("--field-selector=involvedObject.name={pod}");
        let events = c
            .kubectl
            .output(&["get", "events", &of_pod, "-o", "jsonpath={.items[*].message}"])?;
        ensure!(events.contains(why), "{events}");
        let waiting =
            &c.kube_json(&["get", "pod", pod])?["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        let reason = waiting.as_str().unwrap_or_default();
        ensure!(["ErrImagePull", "ImagePullBackOff"].contains(&reason), "{reason:?}");
        Ok(())
    })
}

/// What the node says of an image to who may ask nothing else.
fn verified(c: &Cluster, image: &str) -> Result<ImageServiceVerifyResponse> {
    let issuer = issuer(c)?;
    runtime()?.block_on(async {
        let client = issuer.client(worker(), &["os:image:verifier"])?;
        let request = ImageServiceVerifyRequest {
            image_ref: image.to_owned(),
            credentials: None,
        };
        Ok(client.image().verify(request).await?.into_inner())
    })
}

fn images_come_by_the_rules_of_the_configuration(c: &Cluster) -> Result<()> {
    let place = folder()?;
    let layout = Layout::create(place.path())?;
    let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
    let digest = put(&layout, SIGNED)?;
    sign(&layout, SIGNED, &digest, &key)?;
    put(&layout, UNSIGNED)?;
    put(&layout, DENIED)?;
    let sigstore = Sigstore::new()?;
    keyless(&layout, KEYLESS, &sigstore, "me@e2e.example")?;
    keyless(&layout, STRANGE, &sigstore, "you@e2e.example")?;
    let url = registry(place.path())?;
    let mirror = format!(
        "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: signed.e2e.example\nendpoints: [{{url: \"{url}\"}}]\n\
         skipFallback: true\n"
    );
    with_patch(c, worker(), &mirror, || {
        with_patch(c, worker(), &rules(&key, &sigstore)?, || judged(c, &digest))?;
        // Without rules everything comes again.
        eventually("an image without a signature", LIMIT, || pull(c, "cri", UNSIGNED))?;
        start(c, "image-free", UNSIGNED)?;
        runs(c, "image-free")
    })?;
    let pods = ["image-signed", "image-unsigned", "image-denied", "image-free"];
    let delete = [
        "delete",
        "pod",
        "--grace-period=1",
        "--wait=false",
        "--ignore-not-found",
    ];
    let delete = [&delete, &pods[..]].concat();
    eventually("the pods to be deleted", LIMIT, || c.kubectl.output(&delete).map(drop))
}

fn judged(c: &Cluster, digest: &Digest) -> Result<()> {
    let listed = eventually("the rules", LIMIT, || {
        let listed = c.ask(worker(), &["get", "imageverificationrules"])?;
        ensure!(
            listed.contains(DENIED) && listed.contains("signed.e2e.example/*"),
            "{listed}"
        );
        Ok(listed)
    })?;
    ensure!(listed.contains("PATTERN") && listed.contains("DENY"), "{listed}");
    for namespace in ["system", "cri"] {
        refused(c, namespace, UNSIGNED, "there is no signature")?;
        refused(c, namespace, DENIED, "denies it")?;
        eventually("an image with a signature", LIMIT, || pull(c, namespace, SIGNED))?;
    }
    eventually("an image with a keyless signature", LIMIT, || pull(c, "cri", KEYLESS))?;
    // The message comes through containerd, which puts quotation marks of its own around it.
    refused(c, "cri", STRANGE, "you@e2e.example")?;
    let trusted = eventually("whom signatures are traced back to", LIMIT, || {
        c.ask(worker(), &["get", "tuftrustedroots", "-o", "yaml"])
    })?;
    ensure!(trusted.contains("https://log.example"), "{trusted}");
    start(c, "image-signed", SIGNED)?;
    start(c, "image-unsigned", UNSIGNED)?;
    start(c, "image-denied", DENIED)?;
    runs(c, "image-signed")?;
    waits(c, "image-unsigned", "there is no signature")?;
    waits(c, "image-denied", "denies it")?;

    let signed = eventually("an answer about an image", LIMIT, || {
        verified(c, &format!("{SIGNED}:{TAG}"))
    })?;
    ensure!(
        signed.verified && signed.digested_image_ref.ends_with(digest.as_str()),
        "{signed:?}"
    );
    let unsigned = eventually("another answer", LIMIT, || verified(c, &format!("{UNSIGNED}:{TAG}")))?;
    ensure!(
        !unsigned.verified && unsigned.message.contains("there is no signature"),
        "{unsigned:?}"
    );
    let other = eventually("a third answer", LIMIT, || verified(c, IMAGE))?;
    ensure!(!other.verified && other.message.contains("no rule"), "{other:?}");
    ensure!(other.digested_image_ref.starts_with(IMAGE), "{other:?}");
    Ok(())
}
