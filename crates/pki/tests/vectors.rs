//! Authorities and client configurations made by others load, sign and verify.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki::clientconfig::ClientConfig;
use pki::roles::Role;
use pki::{Authority, CertAndKey, Csr, KeyKind, PrivateKey, Request, Secret, Terms, Usage, cert_info, tls};
use rustls_pki_types::ServerName;

const SECRETS: &str = include_str!("vectors/secrets.yaml");
const TALOSCONFIG: &str = include_str!("vectors/talosconfig");

fn authorities() -> Vec<(String, CertAndKey)> {
    let bundle: serde_json::Value = serde_saphyr::from_str(SECRETS).unwrap();
    ["etcd", "k8s", "k8saggregator", "os"]
        .map(|name| {
            (
                name.to_owned(),
                serde_json::from_value(bundle["certs"][name].clone()).unwrap(),
            )
        })
        .into()
}

/// The vectors were made in the future of some build machines' clocks; certificates are judged at that time.
fn now() -> SystemTime {
    SystemTime::now().max(cert_info(&authorities()[0].1.crt).unwrap().not_before)
}

fn openssl(args: &[&str], input: Option<&[u8]>) -> Option<(bool, String)> {
    let mut child = Command::new("openssl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.unwrap_or_default())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    Some((out.status.success(), text))
}

#[test]
fn every_authority_of_the_vectors_loads_and_signs_and_openssl_agrees() {
    let dir = tempfile::tempdir().unwrap();
    for (name, pair) in authorities() {
        let authority = Authority::from_pair(&pair).unwrap_or_else(|e| panic!("{name}: {e}"));
        for key in [KeyKind::Ed25519, KeyKind::EcdsaP256] {
            let mut request = Request::server(
                key,
                "node-1",
                vec!["node-1".into()],
                vec!["10.5.0.2".parse().unwrap()],
                now(),
            );
            request.usage = Usage::Peer;
            request.organizations = vec!["os:admin".into(), "os:reader".into(), "with ümlaut".into()];
            let leaf = authority.sign(&request).unwrap();
            let info = cert_info(&leaf.crt).unwrap();
            assert_eq!(info.organizations, request.organizations);
            assert_eq!(
                (info.common_name.as_str(), info.sans()),
                ("node-1", vec!["node-1".into(), "10.5.0.2".into()])
            );
            assert!(!info.is_authority && info.is_valid_at(now()));
            leaf.check().unwrap();
            let (ca, crt) = (dir.path().join("ca.crt"), dir.path().join("leaf.crt"));
            std::fs::write(&ca, &pair.crt).unwrap();
            std::fs::write(&crt, &leaf.crt).unwrap();
            let (ca, crt) = (ca.to_str().unwrap(), crt.to_str().unwrap());
            if let Some((good, text)) = openssl(&["verify", "-x509_strict", "-no_check_time", "-CAfile", ca, crt], None)
            {
                // The vectors' aggregator authority has an empty subject, which -x509_strict refuses.
                assert!(good || name == "k8saggregator", "{name}: {text}");
            }
        }
    }
}

#[test]
fn the_service_account_key_of_the_vectors_loads() {
    let bundle: serde_json::Value = serde_saphyr::from_str(SECRETS).unwrap();
    let pair: CertAndKey = serde_json::from_value(bundle["certs"]["k8sserviceaccount"].clone()).unwrap();
    let key = PrivateKey::from_pem(pair.key.expose()).unwrap();
    assert_eq!(key.to_pem().unwrap(), pair.key, "an RSA key is written as it was read");
}

#[test]
fn keys_of_the_vectors_are_written_as_they_were_read() {
    for (name, pair) in authorities() {
        assert_eq!(
            PrivateKey::from_pem(pair.key.expose()).unwrap().to_pem().unwrap(),
            pair.key,
            "{name}"
        );
    }
}

#[test]
fn the_client_configuration_of_the_vectors_is_written_as_it_was_read() {
    let config = ClientConfig::decode(TALOSCONFIG).unwrap();
    assert_eq!(config.encode().unwrap().expose_str().unwrap(), TALOSCONFIG);
    let context = config.context(None).unwrap();
    context.identity().unwrap().check().unwrap();
    assert_eq!(cert_info(&context.crt).unwrap().organizations, ["os:admin"]);
    tls::client_config(&context.ca, context.identity().as_ref()).unwrap();
}

#[test]
fn new_authorities_are_like_those_of_the_vectors() {
    let made = [
        Authority::new_etcd(now()),
        Authority::new_kubernetes(now()),
        Authority::new_aggregator(now()),
        Authority::new_os(now()),
    ];
    for ((name, theirs), ours) in authorities().into_iter().zip(made) {
        let ours = ours.unwrap();
        let (theirs, ours) = (cert_info(&theirs.crt).unwrap(), cert_info(ours.certificate()).unwrap());
        assert_eq!((ours.subject, ours.is_authority), (theirs.subject, true), "{name}");
        let life = |i: &SystemTime, j: &SystemTime| j.duration_since(*i).unwrap().as_secs() / 86400;
        assert_eq!(
            life(&ours.not_before, &ours.not_after),
            life(&theirs.not_before, &theirs.not_after),
            "{name}"
        );
    }
}

#[test]
fn a_request_is_signed_on_the_issuers_terms() {
    let authority = Authority::from_pair(&authorities()[3].1).unwrap();
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let ip: IpAddr = "10.5.0.3".parse().unwrap();
    let pem = Csr::create(&key, "evil", &["os:admin".into()], &["worker-1".into()], &[ip]).unwrap();
    if let Some((good, text)) = openssl(&["req", "-verify", "-noout"], Some(&pem)) {
        assert!(good, "{text}");
    }
    let csr = Csr::from_pem(&pem).unwrap();
    assert_eq!(
        (csr.organizations.as_slice(), csr.ips.as_slice()),
        (&["os:admin".to_owned()][..], &[ip][..])
    );
    let terms = Terms {
        subject: Some(("worker-1".into(), vec![])),
        dns_names: None,
        ips: None,
        usage: Usage::Server,
        ttl: Duration::from_secs(86400),
        now: now(),
    };
    let crt = authority.sign_csr(&csr, &terms).unwrap();
    let info = cert_info(&crt).unwrap();
    assert!(info.organizations.is_empty(), "the subject of the request is ignored");
    assert_eq!(
        (info.common_name.as_str(), info.sans()),
        ("worker-1", vec!["worker-1".into(), "10.5.0.3".into()])
    );
    CertAndKey {
        crt,
        key: key.to_pem().unwrap(),
    }
    .check()
    .unwrap();

    let mut damaged = pki::pem::decode(&pem).unwrap().remove(0).der.to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(Csr::from_der(&damaged).unwrap_err().to_string().contains("signature"));
}

#[test]
fn a_key_of_another_certificate_and_a_leaf_as_authority_are_refused() {
    let all = authorities();
    let error = Authority::from_pem(&all[0].1.crt, all[1].1.key.expose()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the private key does not belong to the certificate (subject \"O=etcd\")"
    );
    let leaf = Authority::from_pair(&all[3].1)
        .unwrap()
        .sign(&Request::client(KeyKind::Ed25519, "x", &["os:reader"], now()))
        .unwrap();
    let error = Authority::from_pair(&leaf).unwrap_err();
    assert_eq!(
        error.to_string(),
        "certificate \"O=os:reader, CN=x\" is not a certificate authority"
    );
    let error = Authority::from_pem(&all[0].1.crt, b"").unwrap_err();
    assert!(error.to_string().contains("only control plane nodes"), "{error}");
    assert_eq!(format!("{leaf:?}").matches("REDACTED").count(), 1);
}

/// One handshake over a socket; what the server saw of the client, or the first error of the client.
#[test]
fn an_issuer_is_told_from_another_of_the_same_name() {
    let now = SystemTime::now();
    let (ours, other) = (Authority::new_os(now).unwrap(), Authority::new_os(now).unwrap());
    let issued = ours
        .sign(&Request::client(KeyKind::Ed25519, "", &["os:admin"], now))
        .unwrap();
    assert!(pki::is_issued_by(&issued.crt, ours.certificate()).unwrap());
    assert!(!pki::is_issued_by(&issued.crt, other.certificate()).unwrap());
    // As a kubelet keeps them: certificate and key in one file.
    let both = [&issued.crt, issued.key.expose()].concat();
    assert!(pki::is_issued_by(&both, ours.certificate()).unwrap());
    let chain = [pki::pem::certificates(&issued.crt).unwrap()[0].clone().into()];
    assert!(tls::is_client_of(&chain, &[other.certificate(), ours.certificate()].concat()).unwrap());
    assert!(!tls::is_client_of(&chain, other.certificate()).unwrap());
    assert!(!tls::is_client_of(&[], ours.certificate()).unwrap());
}

fn handshake(server: Arc<rustls::ServerConfig>, client: rustls::ClientConfig) -> Result<Vec<String>, String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(server).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|e| e.to_string())?;
        }
        rustls::Stream::new(&mut connection, &mut socket)
            .write_all(b"ok")
            .map_err(|e| e.to_string())?;
        let chain = connection.peer_certificates().unwrap_or_default();
        Ok::<_, String>(
            chain
                .first()
                .map(|c| tls::peer_roles(c).unwrap().names())
                .unwrap_or_default(),
        )
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let name = ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
    let mut connection = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut answer = [0; 2];
    let read = rustls::Stream::new(&mut connection, &mut socket)
        .read_exact(&mut answer)
        .map_err(|e| e.to_string());
    drop(socket);
    let seen = serving.join().unwrap();
    read.and(seen)
}

#[test]
fn mutual_tls_shows_the_server_the_roles_and_refuses_everybody_else() {
    let now = SystemTime::now();
    let (ours, theirs) = (Authority::new_os(now).unwrap(), Authority::new_os(now).unwrap());
    let server = ours
        .sign(&Request::server(
            KeyKind::Ed25519,
            "node",
            vec![],
            vec!["127.0.0.1".parse().unwrap()],
            now,
        ))
        .unwrap();
    let serve = || tls::server_config(&server, Some(ours.certificate())).unwrap();
    let client = |authority: &Authority, ttl| {
        let request = Request::client(KeyKind::Ed25519, "", &["os:admin", "os:reader"], now).with_ttl(ttl);
        authority.sign(&request).unwrap()
    };
    let day = Duration::from_secs(86400);

    let roles = handshake(
        serve(),
        tls::client_config(ours.certificate(), Some(&client(&ours, day))).unwrap(),
    )
    .unwrap();
    assert_eq!(roles, ["os:admin", "os:reader"]);

    let error = handshake(serve(), tls::client_config(ours.certificate(), None).unwrap()).unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
    let error = handshake(
        serve(),
        tls::client_config(theirs.certificate(), Some(&client(&ours, day))).unwrap(),
    )
    .unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(
        handshake(
            serve(),
            tls::client_config(ours.certificate(), Some(&client(&theirs, day))).unwrap()
        )
        .is_err()
    );

    let mut expired = Request::client(KeyKind::Ed25519, "", &[Role::ADMIN.as_str()], now - 3 * day);
    expired.ttl = day;
    let expired = ours.sign(&expired).unwrap();
    let error = handshake(serve(), tls::client_config(ours.certificate(), Some(&expired)).unwrap()).unwrap_err();
    assert!(error.contains("CertificateExpired"), "{error}");

    let both = [ours.certificate(), theirs.certificate()].concat();
    let rotated = tls::server_config(&server, Some(&both)).unwrap();
    assert!(handshake(rotated, tls::client_config(&both, Some(&client(&theirs, day))).unwrap()).is_ok());
}

#[test]
fn an_insecure_client_can_insist_on_a_fingerprint() {
    let now = SystemTime::now();
    let shown = pki::self_signed(&Request::server(KeyKind::Ed25519, "maintenance", vec![], vec![], now)).unwrap();
    let serve = || tls::server_config(&shown, None).unwrap();
    assert!(handshake(serve(), tls::client_config_insecure(&[]).unwrap()).is_ok());
    let print = cert_info(&shown.crt).unwrap().fingerprint;
    assert!(
        handshake(
            serve(),
            tls::client_config_insecure(std::slice::from_ref(&print)).unwrap()
        )
        .is_ok()
    );
    let error = handshake(serve(), tls::client_config_insecure(&["00".repeat(32)]).unwrap()).unwrap_err();
    assert!(error.contains(&print), "the error shows what the server has: {error}");
    assert!(tls::client_config_insecure(&["nonsense".into()]).is_err());
}

#[test]
fn a_pair_in_yaml_is_base64_of_pem() {
    let pair = CertAndKey {
        crt: b"crt".to_vec(),
        key: Secret::from("key"),
    };
    let text = serde_json::to_string(&pair).unwrap();
    assert_eq!(text, r#"{"crt":"Y3J0","key":"a2V5"}"#);
    assert_eq!(serde_json::from_str::<CertAndKey>(&text).unwrap(), pair);
    assert_eq!(
        serde_json::from_str::<CertAndKey>(r#"{"crt":"Y3J0","key":null}"#)
            .unwrap()
            .key,
        Secret::default()
    );
}
