//! Certificates for workers, over real TLS.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use api::trustd::{Config, Issuer, serve, sign_request};
use pki::{Authority, Csr, KeyKind, PrivateKey, Request, Secret};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

struct Trustd {
    ca: Arc<Authority>,
    endpoint: String,
    issuer: watch::Sender<Issuer>,
    _tls: watch::Sender<Arc<rustls::ServerConfig>>,
    _stop: DropGuard,
}

async fn trustd(token: &str) -> Trustd {
    let now = SystemTime::now();
    let ca = Arc::new(Authority::new_os(now).unwrap());
    let address: IpAddr = "127.0.0.1".parse().unwrap();
    let server = ca
        .sign(&Request::server(KeyKind::Ed25519, "cp", vec![], vec![address], now))
        .unwrap();
    let (tls, tls_now) = watch::channel(pki::tls::server_config(&server, None).unwrap());
    let (issuer, issuer_now) = watch::channel(Issuer {
        authority: Some(ca.clone()),
        token: Secret::from(token),
        ..Issuer::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let cancel = CancellationToken::new();
    let config = Config {
        listener,
        tls: tls_now,
        issuer: issuer_now,
        same_node: Arc::new(|_, _| false),
    };
    tokio::spawn(serve(config, cancel.clone()));
    Trustd {
        ca,
        endpoint,
        issuer,
        _tls: tls,
        _stop: cancel.drop_guard(),
    }
}

fn csr(ips: &[&str]) -> Vec<u8> {
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Csr::create(&key, "worker", &["os:admin".to_owned()], &["worker-1".to_owned()], &ips).unwrap()
}

#[tokio::test]
async fn a_worker_gets_a_server_certificate_for_its_own_address() {
    let trustd = trustd("abc.def").await;
    let tls = pki::tls::client_config(trustd.ca.certificate(), None).unwrap();
    // The first endpoint does not answer; the second one does.
    let endpoints = ["127.0.0.9:1".to_owned(), trustd.endpoint.clone()];
    let request = csr(&["10.0.0.1", "127.0.0.1"]);
    let signed = sign_request(&endpoints, &tls, &Secret::from("abc.def"), &request)
        .await
        .unwrap();
    assert_eq!(signed.ca, trustd.ca.certificate());
    let info = pki::cert_info(&signed.crt).unwrap();
    assert!(info.organizations.is_empty());
    let names = format!("{:?}", info.sans());
    assert!(
        names.contains("127.0.0.1") && names.contains("worker-1") && !names.contains("10.0.0.1"),
        "{names}"
    );
}

#[tokio::test]
async fn a_wrong_token_or_another_address_gets_nothing_and_guessing_is_slow() {
    let trustd = trustd("abc.def").await;
    let tls = pki::tls::client_config(trustd.ca.certificate(), None).unwrap();
    let ask = async |token: &str, request: Vec<u8>| {
        let signed = sign_request(
            std::slice::from_ref(&trustd.endpoint),
            &tls,
            &Secret::from(token),
            &request,
        )
        .await;
        signed.map(drop).map_err(|e| e.to_string())
    };
    let error = ask("abc.def", csr(&["10.0.0.1"])).await.unwrap_err();
    assert!(error.contains("comes from 127.0.0.1"), "{error}");
    let error = ask("abc.def", b"no request".to_vec()).await.unwrap_err();
    assert!(error.contains("certificate request"), "{error}");
    for _ in 0..5 {
        let error = ask("abc.deg", csr(&["127.0.0.1"])).await.unwrap_err();
        assert!(error.contains("machine.token"), "{error}");
    }
    let error = ask("abc.def", csr(&["127.0.0.1"])).await.unwrap_err();
    assert!(error.contains("too many requests"), "{error}");
}

#[tokio::test]
async fn an_empty_token_opens_nothing_and_a_missing_authority_says_wait() {
    let trustd = trustd("").await;
    let tls = pki::tls::client_config(trustd.ca.certificate(), None).unwrap();
    let endpoints = std::slice::from_ref(&trustd.endpoint);
    let request = csr(&["127.0.0.1"]);
    let error = sign_request(endpoints, &tls, &Secret::from(""), &request)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("machine.token"), "{error}");
    trustd.issuer.send_modify(|issuer| {
        issuer.token = Secret::from("t");
        issuer.authority = None;
    });
    let error = sign_request(endpoints, &tls, &Secret::from("t"), &request)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no authority to sign with yet"), "{error}");
    let stranger = Authority::new_os(SystemTime::now()).unwrap();
    let tls = pki::tls::client_config(stranger.certificate(), None).unwrap();
    let error = sign_request(endpoints, &tls, &Secret::from("t"), &request)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("not of the authority in your configuration"), "{error}");
}
