//! `gen secureboot`: keys, certificates and the variables of firmware that trust them. All of it is made here, in files;
//! no node is asked.

mod uefi;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use pki::{AUTHORITY_LIFETIME, KeyKind, PrivateKey, Request, Usage, cert_info_der, is_issued_by, pem, self_signed};

use self::uefi::{DB, KEK, PK, Signer, Variable};
use crate::cli::generate::{SecureBoot, SecureBootAction};
use crate::commands::files::{check_overwrite, write_all};
use crate::commands::reading::{self, kind};
use crate::output::note;

/// How long a common name may be, in characters (RFC 5280, ub-common-name).
const COMMON_NAME_LIMIT: usize = 64;

/// Runs `gen secureboot ACTION`.
pub fn run(args: &SecureBoot, force: bool) -> Result<()> {
    let output = Path::new(&args.output);
    let now = SystemTime::now();
    match &args.command {
        SecureBootAction::Uki { common_name } => uki(common_name, output, force, now),
        SecureBootAction::Pcr => pcr(output, force),
        SecureBootAction::Database {
            include_well_known_uefi_certs: true,
            ..
        } => bail!(
            "--include-well-known-uefi-certs: Microsoft's certificates are not part of this program. Add them, as PEM, \
             to the file of --enrolled-certificate, behind the certificate that is there: what follows the first one \
             becomes part of db"
        ),
        SecureBootAction::Database {
            enrolled_certificate,
            signing_certificate,
            signing_key,
            ..
        } => {
            let files = DATABASE.map(|variable| output.join(format!("{}.auth", variable.name)));
            refuse_existing(&files, force)?;
            let enrolled = reading::bytes(enrolled_certificate, kind::UKI_CERTIFICATE)?;
            let certificates = certificates(&enrolled, enrolled_certificate)?;
            let signing = reading::bytes(signing_certificate, kind::UKI_CERTIFICATE)?;
            let signer = signer(&signing, signing_certificate, signing_key)?;
            let variables = database(&certificates, &signer, now)?;
            let all: Vec<_> = files.iter().zip(&variables).map(|(f, v)| (f, &v[..], false)).collect();
            write_all(force, &all)?;
            if certificates.first() != Some(&signer.certificate) && !is_issued_by(&signing, &enrolled)? {
                note(&format!(
                    "Note: firmware without keys (setup mode) refuses this PK.auth: it is signed with the key of \
                     {signing_certificate}, which {enrolled_certificate} has not issued. Firmware that has \
                     {signing_certificate} as its PK takes it."
                ));
            }
            Ok(())
        }
    }
}

/// A key for kernel images and a certificate of it, which firmware is told.
fn uki(common_name: &str, output: &Path, force: bool, now: SystemTime) -> Result<()> {
    if common_name.is_empty() || common_name.chars().count() > COMMON_NAME_LIMIT {
        bail!("--common-name \"{common_name}\": a certificate takes names of 1 to {COMMON_NAME_LIMIT} characters");
    }
    let files = ["uki-signing-key.pem", "uki-signing-cert.pem", "uki-signing-cert.der"].map(|name| output.join(name));
    refuse_existing(&files, force)?;
    let pair = self_signed(&Request {
        key: KeyKind::Rsa4096,
        common_name: common_name.to_owned(),
        organizations: Vec::new(),
        dns_names: Vec::new(),
        ips: Vec::new(),
        usage: Usage::CodeSigning,
        ttl: AUTHORITY_LIFETIME,
        now,
    })?;
    let der = pem::certificates(&pair.crt)?.concat();
    let [key, crt, binary] = &files;
    write_all(
        force,
        &[
            (key, pair.key.expose(), true),
            (crt, &pair.crt, false),
            (binary, &der, false),
        ],
    )
}

/// A key for policies of a TPM, which name values of its registers.
fn pcr(output: &Path, force: bool) -> Result<()> {
    let file = output.join("pcr-signing-key.pem");
    refuse_existing(std::slice::from_ref(&file), force)?;
    let key = PrivateKey::generate(KeyKind::Rsa2048)?.to_pem()?;
    write_all(force, &[(&file, key.expose(), true)])
}

/// What is there is refused before a key is made, which takes seconds.
fn refuse_existing(files: &[PathBuf], force: bool) -> Result<()> {
    files.iter().try_for_each(|file| check_overwrite(file, force))
}

/// The certificates of a file, as DER.
fn certificates(text: &[u8], path: &str) -> Result<Vec<Vec<u8>>> {
    let read = || -> Result<_, pki::Error> {
        let all = pem::certificates(text)?;
        all.iter().try_for_each(|der| cert_info_der(der).map(drop))?;
        Ok(all)
    };
    read().with_context(|| format!("load certificate {path}, which has to be PEM"))
}

/// Who signs: the first certificate of the text, and its key.
fn signer(text: &[u8], path: &str, key: &str) -> Result<Signer> {
    let certificate = certificates(text, path)?.swap_remove(0);
    let bytes = reading::bytes(key, kind::UKI_KEY)?;
    let key = PrivateKey::from_pem(&bytes).with_context(|| format!("load key {key}"))?;
    Ok(Signer { certificate, key })
}

/// The order in which firmware wants them: PK is last, because it ends setup mode.
const DATABASE: [Variable; 3] = [DB, KEK, PK];

/// The variables of [`DATABASE`]. The first certificate is in all of them, the others are in db.
fn database(certificates: &[Vec<u8>], signer: &Signer, now: SystemTime) -> Result<Vec<Vec<u8>>> {
    let owner = &certificates[..certificates.len().min(1)];
    [(DB, certificates), (KEK, owner), (PK, owner)]
        .into_iter()
        .map(|(variable, certificates)| {
            uefi::authenticated(variable, &uefi::signature_lists(certificates)?, now, signer)
        })
        .collect()
}
