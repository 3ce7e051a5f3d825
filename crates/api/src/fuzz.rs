//! Entry point for fuzzing: takes any bytes, must come back soon, and must not panic.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use pki::{Authority, Csr, KeyKind, PrivateKey};

use crate::trustd::grant;

/// A certificate request, as it comes from a node that is known by a token only, from its text to the certificate.
///
/// Nobody who mutates bytes can sign, so behind the signature go requests made from the bytes: the first four are the
/// address of who asks, lines are names and addresses.
pub fn certificate_request(bytes: &[u8], authority: &Authority, key: &PrivateKey) {
    let read = [Csr::from_pem(bytes), Csr::from_der(bytes)];
    for csr in read.into_iter().flatten().chain(made_from(bytes, key)) {
        sign(&csr, peer(bytes), authority);
    }
    let _ = pki::cert_info(bytes);
    let _ = pki::cert_info_der(bytes);
}

/// An authority and a key to fuzz with: they are made once, because that takes long.
pub fn authority() -> Result<(Authority, PrivateKey), pki::Error> {
    let authority = Authority::new_os(SystemTime::now())?;
    Ok((authority, PrivateKey::generate(KeyKind::Ed25519)?))
}

fn peer(bytes: &[u8]) -> IpAddr {
    Ipv4Addr::from(bytes.first_chunk::<4>().copied().unwrap_or_default()).into()
}

fn made_from(bytes: &[u8], key: &PrivateKey) -> Option<Csr> {
    let text = String::from_utf8_lossy(bytes.get(4..)?).into_owned();
    let (mut names, mut addresses) = (Vec::new(), vec![peer(bytes)]);
    for line in text.lines() {
        match line.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(line.to_owned()),
        }
    }
    let organizations = ["os:admin".to_owned()];
    let request = Csr::create(key, names.first()?, &organizations, &names, &addresses).ok()?;
    let csr = Csr::from_pem(&request);
    assert!(
        csr.is_ok(),
        "the own request is not understood: {names:?} {addresses:?}"
    );
    csr.ok()
}

/// The one who asks gets nothing but a server's certificate for its own address.
fn sign(csr: &Csr, peer: IpAddr, authority: &Authority) {
    let only_itself = |one: IpAddr, other: IpAddr| one == other.to_canonical();
    let reserved = ["kubernetes".to_owned()];
    let Ok(terms) = grant(csr, peer, &only_itself, &reserved, SystemTime::now()) else {
        return;
    };
    let Ok(certificate) = authority.sign_csr(csr, &terms) else {
        return;
    };
    let Ok(info) = pki::cert_info(&certificate) else {
        panic!("the signed certificate is not readable: {csr:?}");
    };
    let own = |ip: &IpAddr| ip.to_canonical() == peer.to_canonical();
    let modest = !info.is_authority && info.organizations.is_empty() && info.ips.iter().all(own);
    assert!(
        modest && !info.dns_names.contains(&reserved[0]),
        "too much was granted: {info:?}"
    );
}
