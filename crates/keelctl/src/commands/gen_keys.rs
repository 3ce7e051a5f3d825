//! `gen ca|crt|csr|key|keypair`: keys and certificates in files.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use pki::{
    Authority, AuthorityRequest, CertAndKey, Csr, KeyKind, PrivateKey, Request, Terms, Usage, cert_info, self_signed,
};

use crate::cli::generate::{Gen, GenAction};
use crate::commands::files::write_all;
use crate::commands::reading::{self, kind};

const HOUR: Duration = Duration::from_secs(3600);

/// Runs `gen ACTION` for keys and certificates.
pub fn run(args: Gen) -> Result<()> {
    let force = args.force;
    let now = SystemTime::now();
    match args.command {
        GenAction::Ca {
            organization,
            hours,
            rsa,
        } => {
            let key = if rsa { KeyKind::Rsa4096 } else { KeyKind::Ed25519 };
            let ttl = HOUR * u32::try_from(hours).context("read --hours: too large")?;
            let authority = Authority::generate(&AuthorityRequest {
                key,
                organization: Some(organization.clone()),
                ttl,
                now,
            })?;
            let print = format!("{}\n", cert_info(authority.certificate())?.fingerprint);
            write_all(
                force,
                &[
                    (format!("{organization}.crt"), authority.certificate(), false),
                    (format!("{organization}.sha256"), print.as_bytes(), false),
                    (format!("{organization}.key"), authority.pair().key.expose(), true),
                ],
            )
        }
        GenAction::Crt { ca, csr, name, hours } => {
            let pair = CertAndKey {
                crt: reading::bytes(&format!("{ca}.crt"), kind::CERTIFICATE)?,
                key: reading::bytes(&format!("{ca}.key"), kind::KEY)?.into(),
            };
            let authority = Authority::from_pair(&pair).with_context(|| format!("load authority {ca}"))?;
            let request = Csr::from_pem(&reading::bytes(&csr, kind::CSR)?).with_context(|| format!("load {csr}"))?;
            let terms = Terms {
                subject: None,
                dns_names: None,
                ips: None,
                usage: Usage::Peer,
                ttl: HOUR * u32::try_from(hours).context("read --hours: too large")?,
                now,
            };
            let crt = authority.sign_csr(&request, &terms)?;
            write_all(force, &[(format!("{name}.crt"), &crt, false)])
        }
        GenAction::Csr { key: path, ip, roles } => {
            let key =
                PrivateKey::from_pem(&reading::bytes(&path, kind::KEY)?).with_context(|| format!("load key {path}"))?;
            let csr = Csr::create(&key, "", &roles, &[], &addresses(ip.as_deref())?)?;
            let stem = path.strip_suffix(".key").unwrap_or(&path);
            write_all(force, &[(format!("{stem}.csr"), &csr, false)])
        }
        GenAction::Key { name } => {
            let key = PrivateKey::generate(KeyKind::Ed25519)?.to_pem()?;
            write_all(force, &[(format!("{name}.key"), key.expose(), true)])
        }
        GenAction::Keypair { ip, organization } => {
            let mut request = Request::server(KeyKind::Ed25519, "", vec![], addresses(ip.as_deref())?, now);
            request.organizations = vec![organization.clone()];
            request.usage = Usage::Peer;
            let pair = self_signed(&request)?;
            write_all(
                force,
                &[
                    (format!("{organization}.crt"), &pair.crt, false),
                    (format!("{organization}.key"), pair.key.expose(), true),
                ],
            )
        }
        GenAction::Config(config) => super::gen_config::generate(&config, force),
        GenAction::SecureBoot(args) => super::secureboot::run(&args, force),
        action @ GenAction::Secrets { .. } => super::secrets::run(&action, force),
    }
}

fn addresses(ip: Option<&str>) -> Result<Vec<IpAddr>> {
    ip.map(|ip| {
        ip.parse()
            .with_context(|| format!("read --ip: \"{ip}\" is not an IP address"))
    })
    .into_iter()
    .collect()
}
