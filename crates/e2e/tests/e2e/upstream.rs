//! Images come from the registry in their name when no mirror has them: what a machine with a way to the internet does
//! whose mirrors are gone. That registry is ours here, under upstream's name.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use e2e::program::dist;
use e2e::run::Test;
use e2e::running::Running;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;
use pki::{Authority, AuthorityRequest, KeyKind, Request};

use crate::cluster::{Cluster, worker};
use crate::effects::with_patch;

/// How long a pull may take that begins while containerd starts again with the new trust.
const SOON: Duration = Duration::from_secs(120);
const HOST: &str = "registry.k8s.io";
/// A name that the cluster's own registry does not have.
const IMAGE: &str = "registry.k8s.io/e2e-only-upstream:v1";

pub fn tests() -> Vec<Test<Cluster>> {
    tests![images_come_from_their_own_registry_when_no_mirror_has_them]
}

/// A registry under upstream's name, with TLS as upstream has it.
struct Upstream {
    _server: Running,
    /// What the node has to trust.
    authority: String,
}

impl Upstream {
    fn start(c: &Cluster) -> Result<Self> {
        let folder = c.folder().join("upstream");
        std::fs::create_dir_all(&folder)?;
        let now = SystemTime::now();
        let authority = Authority::generate(&AuthorityRequest {
            key: KeyKind::EcdsaP256,
            organization: Some("upstream".to_owned()),
            ttl: Duration::from_secs(86_400),
            now,
        })?;
        let server = Request::server(KeyKind::EcdsaP256, HOST, vec![HOST.to_owned()], Vec::new(), now);
        let pair = authority.sign(&server)?;
        let (crt, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        std::fs::write(&crt, &pair.crt)?;
        std::fs::write(&key, pair.key.expose())?;
        let images = images(&folder)?;
        let mut command = c.keelctl.command(&["image", "cache-serve"]);
        command.arg("--address").arg(format!("{}:443", network().host(1)));
        command.arg("--image-cache-path").arg(images);
        command.arg("--tls-cert-file").arg(&crt).arg("--tls-key-file").arg(&key);
        let mut server = Running::start(command)?;
        server.line_with("url: https://", Duration::from_secs(60))?;
        Ok(Self {
            _server: server,
            authority: String::from_utf8(authority.certificate().to_vec())?,
        })
    }
}

/// A layout with one of the distribution's images under [`IMAGE`].
fn images(folder: &Path) -> Result<PathBuf> {
    let (from, to) = (dist().join("images"), folder.join("images"));
    std::fs::create_dir_all(&to)?;
    std::fs::copy(from.join("oci-layout"), to.join("oci-layout"))?;
    if !to.join("blobs").exists() {
        std::os::unix::fs::symlink(from.join("blobs"), to.join("blobs"))?;
    }
    let mut index: serde_json::Value = serde_json::from_slice(&std::fs::read(from.join("index.json"))?)?;
    let manifests = index["manifests"].as_array_mut().context("the index lists nothing")?;
    manifests.retain_mut(|manifest| {
        let name = &mut manifest["annotations"]["org.opencontainers.image.ref.name"];
        let pause = name
            .as_str()
            .is_some_and(|name| name.starts_with("registry.k8s.io/pause:"));
        *name = IMAGE.into();
        pause
    });
    ensure!(manifests.len() == 1, "there is not one pause image: {manifests:?}");
    std::fs::write(to.join("index.json"), serde_json::to_vec(&index)?)?;
    Ok(to)
}

fn images_come_from_their_own_registry_when_no_mirror_has_them(c: &Cluster) -> Result<()> {
    let upstream = Upstream::start(c)?;
    // One more mirror, which nothing listens at.
    let patch = format!(
        "apiVersion: v1alpha1\nkind: RegistryMirrorConfig\nname: {HOST}\nendpoints: [{{url: \"http://127.0.0.1:1\"}}]\n---\napiVersion: \
         v1alpha1\nkind: StaticHostConfig\nname: {}\nhostnames: [{HOST}]\n---\napiVersion: v1alpha1\nkind: \
         TrustedRootsConfig\nname: upstream\ncertificates: |\n  {}\n",
        network().host(1),
        upstream.authority.trim().replace('\n', "\n  ")
    );
    let image = |namespace: &str, verb: &str| {
        let command = ["-n", worker(), "image", verb, "--namespace", namespace, IMAGE];
        c.keelctl.output(&command)
    };
    with_patch(c, worker(), &patch, || {
        // The node's own puller and containerd's, as the kubelet uses it.
        for namespace in ["system", "cri"] {
            eventually(&format!("the image for {namespace}"), SOON, || image(namespace, "pull"))?;
            let listed = c.ask(worker(), &["image", "list", "--namespace", namespace])?;
            ensure!(listed.contains("e2e-only-upstream"), "{listed}");
            image(namespace, "remove")?;
        }
        Ok(())
    })
}
