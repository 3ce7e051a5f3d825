use std::sync::Mutex;

use super::*;
use crate::oci::{Descriptor, ImageConfig, Layout, RootFs};
use crate::registry::{Options, Registry, serve};

pub(super) fn tls() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth(),
    )
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, data) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Puts an image of two layers (gzip and zstd) into a layout.
pub(super) fn put_image(layout: &Layout, reference: &str, content: &str) {
    use std::io::Write;
    let lower = tar(&[("bin/app", "old"), ("gone", "x")]);
    let upper = tar(&[("bin/app", content), (".wh.gone", "")]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&lower).unwrap();
    let blobs = [gzip.finish().unwrap(), zstd::encode_all(upper.as_slice(), 3).unwrap()];
    let kinds = [media_type::LAYER_GZIP, media_type::LAYER_ZSTD];
    let layers: Vec<_> = blobs
        .iter()
        .zip(kinds)
        .map(|(blob, kind)| Descriptor::of(kind, blob))
        .collect();
    for blob in &blobs {
        layout.put(blob).unwrap();
    }
    let document = ImageDocument {
        architecture: architecture().into(),
        os: "linux".into(),
        config: ImageConfig {
            entrypoint: vec!["/bin/app".into()],
            ..ImageConfig::default()
        },
        rootfs: RootFs {
            kind: "layers".into(),
            diff_ids: vec![Digest::of(&lower), Digest::of(&upper)],
        },
        ..ImageDocument::default()
    };
    let config = serde_json::to_vec(&document).unwrap();
    layout.put(&config).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: media_type::MANIFEST.into(),
        config: Descriptor::of(media_type::CONFIG, &config),
        layers,
    };
    let bytes = serde_json::to_vec(&manifest).unwrap();
    layout.put(&bytes).unwrap();
    layout
        .tag(reference, &Descriptor::of(media_type::MANIFEST, &bytes))
        .unwrap();
}

pub(super) async fn serve_layout(layout: &Layout) -> (String, CancellationToken) {
    let options = Options {
        layout: Some(layout.root().into()),
        ..Options::default()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    tokio::spawn(serve(listener, Registry::new(options).unwrap(), cancel.clone()));
    (url, cancel)
}

pub(super) fn puller(endpoints: Vec<Endpoint>) -> Puller {
    let mut puller = Puller::new(tls());
    puller.add_registry(
        "*",
        Source {
            endpoints,
            skip_fallback: true,
            upstream: None,
        },
    );
    puller
}

pub(super) const IMAGE: &str = "registry.k8s.io/app:v1";

#[tokio::test]
async fn an_image_is_pulled_through_the_first_mirror_that_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    put_image(&layout, IMAGE, "new");
    let (url, _cancel) = serve_layout(&layout).await;
    let seen = Mutex::new(Vec::new());
    let target = dir.path().join("deep/image");
    let puller = puller(vec![Endpoint::new("http://127.0.0.1:1"), Endpoint::new(url.clone())]);
    let pulled = puller
        .pull(
            IMAGE,
            &target,
            &|p| seen.lock().unwrap().push(p),
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(pulled.config.entrypoint, ["/bin/app"]);
    assert_eq!(std::fs::read_to_string(pulled.rootfs().join("bin/app")).unwrap(), "new");
    assert!(!pulled.rootfs().join("gone").exists());
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.iter()
            .any(|p| matches!(p, Progress::Failed { endpoint, .. } if endpoint.ends_with(":1")))
    );
    assert!(seen.contains(&Progress::Unpacking { layer: 2, layers: 2 }));

    // A newer image under the same tag replaces it; when nothing answers, what is there is used.
    put_image(&layout, IMAGE, "newer");
    let again = puller
        .pull(IMAGE, &target, &|_| {}, &CancellationToken::new())
        .await
        .unwrap();
    assert_ne!(again.digest, pulled.digest);
    assert_eq!(
        std::fs::read_to_string(again.rootfs().join("bin/app")).unwrap(),
        "newer"
    );
    let offline = super::tests::puller(vec![Endpoint::new("http://127.0.0.1:1")]);
    assert_eq!(
        offline
            .pull(IMAGE, &target, &|_| {}, &CancellationToken::new())
            .await
            .unwrap()
            .digest,
        again.digest
    );
    let left: Vec<_> = std::fs::read_dir(dir.path().join("deep"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["image"]);
}

#[tokio::test]
async fn a_changed_layer_is_noticed_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    put_image(&layout, IMAGE, "new");
    let descriptor = layout.find(IMAGE).unwrap().unwrap();
    let manifest: Manifest = serde_json::from_slice(&layout.read(&descriptor.digest).unwrap()).unwrap();
    let path = layout.blob_path(&manifest.layers[1].digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (url, _cancel) = serve_layout(&layout).await;
    let target = dir.path().join("out/image");
    let error = puller(vec![Endpoint::new(url)])
        .pull(IMAGE, &target, &|_| {}, &CancellationToken::new())
        .await;
    assert!(error.unwrap_err().to_string().contains("came with digest"));
    assert_eq!(std::fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_missing_image_names_every_endpoint_and_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    let (url, _cancel) = serve_layout(&layout).await;
    let endpoints = vec![Endpoint::new(url.clone()), Endpoint::new("ftp://nowhere")];
    let error = puller(endpoints)
        .pull(IMAGE, &dir.path().join("x"), &|_| {}, &CancellationToken::new())
        .await;
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains(&url) && text.contains("404") && text.contains("ftp://nowhere"),
        "{text}"
    );
}

#[tokio::test]
async fn a_cancelled_pull_ends_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Endpoint::new(format!("http://{}", listener.local_addr().unwrap()));
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    let later = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        later.cancel();
    });
    let error = puller(vec![silent])
        .pull(IMAGE, &dir.path().join("x"), &|_| {}, &cancel)
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::Cancelled(_)));
}

#[test]
fn upstream_comes_after_mirrors_unless_it_is_to_be_skipped() {
    let image: ImageRef = "nginx".parse().unwrap();
    let mut puller = Puller::new(tls());
    let urls = |puller: &Puller| puller.endpoints(&image).into_iter().map(|e| e.url).collect::<Vec<_>>();
    assert_eq!(urls(&puller), ["https://registry-1.docker.io"]);
    let mirror = Source {
        endpoints: vec![Endpoint::new("http://m")],
        ..Source::default()
    };
    puller.add_registry("docker.io", mirror.clone());
    assert_eq!(urls(&puller), ["http://m", "https://registry-1.docker.io"]);
    puller.add_registry(
        "docker.io",
        Source {
            skip_fallback: true,
            ..mirror
        },
    );
    assert_eq!(urls(&puller), ["http://m"]);
}

#[tokio::test]
async fn an_image_is_copied_as_it_is_and_what_was_kept_is_not_fetched_again() {
    let (from, to, kept) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let layout = Layout::create(from.path()).unwrap();
    put_image(&layout, "example.com/app:v1", "new");
    let (url, cancel) = serve_layout(&layout).await;
    let puller = puller(vec![Endpoint::new(url)]);
    let copying = |kept: &Layout| Copying {
        kept: Some(kept.clone()),
        signatures: true,
        ..Copying::default()
    };
    let (copy, store) = (Layout::create(to.path()).unwrap(), Layout::create(kept.path()).unwrap());
    let digest = puller
        .copy("example.com/app:v1", &copy, &copying(&store), &|_| {})
        .await
        .unwrap();
    let copied = copy.find("example.com/app:v1").unwrap().unwrap();
    assert_eq!(copied.digest, digest);
    assert_eq!(
        copied.digest,
        layout.find("example.com/app:v1").unwrap().unwrap().digest
    );
    let manifest: Manifest = serde_json::from_slice(&copy.read(&digest).unwrap()).unwrap();
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        assert_eq!(Digest::of(&copy.read(&blob.digest).unwrap()), blob.digest);
        // A registry that lost its blobs is not asked for them.
        std::fs::remove_file(layout.blob_path(&blob.digest)).unwrap();
    }
    let again = tempfile::tempdir().unwrap();
    let again = Layout::create(again.path()).unwrap();
    puller
        .copy("example.com/app:v1", &again, &copying(&store), &|_| {})
        .await
        .unwrap();
    // A damaged one is found, and not there the next time.
    let layer = store.blob_path(&manifest.layers[0].digest);
    std::fs::write(&layer, "x").unwrap();
    std::fs::remove_file(again.blob_path(&manifest.layers[0].digest)).unwrap();
    let copied = puller
        .copy("example.com/app:v1", &again, &copying(&store), &|_| {})
        .await;
    assert!(copied.unwrap_err().to_string().contains("damaged") || !layer.exists());
    assert!(!layer.exists());
    cancel.cancel();
}
