use super::*;
use crate::digest::Digest;
use crate::oci::{Descriptor, media_type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A running registry with one image in its layout.
struct Running {
    address: std::net::SocketAddr,
    blob: Digest,
    manifest: Digest,
    cancel: CancellationToken,
    _dirs: [tempfile::TempDir; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn start(max_blob: u64) -> Running {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let layout = Layout::create(dirs[0].path()).unwrap();
    let blob = layout.put(b"0123456789").unwrap();
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": { "mediaType": media_type::CONFIG, "digest": blob, "size": 10 }, "layers": []
    });
    let manifest = layout.put(text.to_string().as_bytes()).unwrap();
    let descriptor = Descriptor::of(media_type::MANIFEST, text.to_string().as_bytes());
    layout.tag("registry.k8s.io/pause:3.10", &descriptor).unwrap();
    let options = Options {
        layout: Some(dirs[0].path().into()),
        store: Some(dirs[1].path().into()),
        max_blob,
        ..Options::default()
    };
    let registry = Registry::new(options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    tokio::spawn(serve(listener, registry, cancel.clone()));
    Running {
        address,
        blob,
        manifest,
        cancel,
        _dirs: dirs,
    }
}

/// One request; the answer's status, head and body.
async fn send(running: &Running, line: &str, headers: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn an_image_is_found_by_mirror_namespace_by_full_path_and_by_short_name() {
    let running = start(1 << 20).await;
    for path in [
        "/v2/pause/manifests/3.10?ns=registry.k8s.io",
        "/v2/registry.k8s.io/pause/manifests/3.10",
        "/v2/pause/manifests/3.10",
        &format!("/v2/pause/manifests/{}?ns=registry.k8s.io", running.manifest),
    ] {
        let (status, head, body) = send(&running, &format!("GET {path}"), "", b"").await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(
            head.contains(running.manifest.as_str()) && head.contains(media_type::MANIFEST),
            "{head}"
        );
    }
    for path in [
        "/v2/pause/manifests/3.10?ns=docker.io",
        "/v2/pause/manifests/3.11",
        "/v2/nope/manifests/3.10",
    ] {
        let (status, _, body) = send(&running, &format!("GET {path}"), "", b"").await;
        assert_eq!(status, 404);
        assert!(body.contains("MANIFEST_UNKNOWN"), "{body}");
    }
}

#[tokio::test]
async fn blobs_are_served_whole_in_part_and_by_head() {
    let running = start(1 << 20).await;
    let path = format!("/v2/pause/blobs/{}", running.blob);
    assert_eq!(send(&running, &format!("GET {path}"), "", b"").await.2, "0123456789");
    let (status, head, body) = send(&running, &format!("GET {path}"), "range: bytes=2-4\r\n", b"").await;
    assert_eq!((status, body.as_str()), (206, "234"));
    assert!(head.contains("content-range: bytes 2-4/10"));
    let (status, head, body) = send(&running, &format!("HEAD {path}"), "", b"").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 10"));
    assert_eq!(
        send(&running, &format!("GET {path}"), "range: bytes=10-\r\n", b"")
            .await
            .0,
        416
    );
    let escape = "/v2/pause/blobs/sha256:..%2f..%2f..%2fetc%2fpasswd";
    assert_eq!(send(&running, &format!("GET {escape}"), "", b"").await.0, 400);
}

#[tokio::test]
async fn a_pushed_image_can_be_pulled() {
    let running = start(1 << 20).await;
    let data = b"a layer".as_slice();
    let digest = Digest::of(data);
    let (status, head, _) = send(&running, "POST /v2/me/app/blobs/uploads/", "", b"").await;
    assert_eq!(status, 202);
    let location = head
        .lines()
        .find_map(|l| l.strip_prefix("location: "))
        .unwrap()
        .to_owned();
    // The server lower-cased nothing: take the id from the unmodified answer.
    let id = location.rsplit('/').next().unwrap().to_owned();
    assert!(!id.is_empty());
    let (status, _, body) = send(
        &running,
        &format!("POST /v2/me/app/blobs/uploads/?digest={digest}"),
        "",
        data,
    )
    .await;
    assert_eq!(status, 201, "{body}");
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": { "mediaType": media_type::CONFIG, "digest": digest, "size": 7 }, "layers": []
    })
    .to_string();
    let kind = format!("content-type: {}\r\n", media_type::MANIFEST);
    let put = "PUT /v2/me/app/manifests/v1?ns=ghcr.io";
    assert_eq!(send(&running, put, &kind, manifest.as_bytes()).await.0, 201);
    assert_eq!(
        send(&running, "GET /v2/ghcr.io/me/app/manifests/v1", "", b"").await.2,
        manifest
    );
    let (_, _, tags) = send(&running, "GET /v2/me/app/tags/list?ns=ghcr.io", "", b"").await;
    assert!(tags.contains("\"v1\""), "{tags}");
    let (_, _, names) = send(&running, "GET /v2/_catalog", "", b"").await;
    assert!(
        names.contains("ghcr.io/me/app") && names.contains("registry.k8s.io/pause"),
        "{names}"
    );
}

#[tokio::test]
async fn a_wrong_digest_a_large_blob_and_a_manifest_with_missing_parts_are_refused() {
    let running = start(16).await;
    let digest = Digest::of(b"something else");
    let post = format!("POST /v2/a/blobs/uploads/?digest={digest}");
    let (status, _, body) = send(&running, &post, "", b"data").await;
    assert_eq!(status, 400);
    assert!(body.contains("DIGEST_INVALID"));
    assert_eq!(send(&running, &post, "", &[0; 64]).await.0, 413);
    let manifest = serde_json::json!({ "schemaVersion": 2, "config": { "digest": digest } }).to_string();
    let (status, _, body) = send(&running, "PUT /v2/a/manifests/v1", "", manifest.as_bytes()).await;
    assert_eq!(status, 404);
    assert!(body.contains("MANIFEST_BLOB_UNKNOWN"));
    assert_eq!(send(&running, "PUT /v2/a/manifests/v1", "", b"not json").await.0, 400);
    assert_eq!(send(&running, "DELETE /v2/a/manifests/v1", "", b"").await.0, 405);
}
