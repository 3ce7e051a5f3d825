//! Variables of UEFI firmware that say whom it trusts (UEFI specification 2.10, sections 8.2.2 and 32.4.1): lists of
//! certificates, and the descriptor in front of them that proves who sets them.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use pki::{PrivateKey, signed_data};

/// A GUID in the order of its bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guid([u8; 16]);

impl Guid {
    /// From the groups of its text; the last two groups are one here.
    const fn new(first: u32, second: u16, third: u16, rest: u64) -> Self {
        let (a, b, c, d) = (
            first.to_le_bytes(),
            second.to_le_bytes(),
            third.to_le_bytes(),
            rest.to_be_bytes(),
        );
        Self([
            a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7],
        ])
    }
}

/// EFI_CERT_X509_GUID: a list of X.509 certificates.
const CERT_X509: Guid = Guid::new(0xa5c0_59a1, 0x94e4, 0x4aa7, 0x87b5_ab15_5c2b_f072);
/// EFI_CERT_TYPE_PKCS7_GUID: the signature of a descriptor is PKCS #7 SignedData.
const CERT_TYPE_PKCS7: Guid = Guid::new(0x4aaf_d29d, 0x68df, 0x49ee, 0x8aa9_347d_3756_65a7);
/// EFI_GLOBAL_VARIABLE: the vendor of PK and KEK.
const GLOBAL_VARIABLE: Guid = Guid::new(0x8be4_df61, 0x93ca, 0x11d2, 0xaa0d_00e0_9803_2b8c);
/// EFI_IMAGE_SECURITY_DATABASE_GUID: the vendor of db.
const IMAGE_SECURITY_DATABASE: Guid = Guid::new(0xd719_b2cb, 0x3d3a, 0x4596, 0xa3bc_dad0_0e67_656f);
/// Who put an entry there, for people who list it: made once at random for this program.
const OWNER: Guid = Guid::new(0x126a_99c5, 0x8c16, 0x4fbd, 0x9e06_53c7_794a_96e8);

/// NON_VOLATILE, BOOTSERVICE_ACCESS, RUNTIME_ACCESS and TIME_BASED_AUTHENTICATED_WRITE_ACCESS, which the variables of
/// Secure Boot have, and which whoever sets them has to give as well.
const ATTRIBUTES: u32 = 0x01 | 0x02 | 0x04 | 0x20;

/// WIN_CERTIFICATE.wRevision.
const REVISION: u16 = 0x0200;
/// WIN_CERT_TYPE_EFI_GUID: what follows says its type by a GUID.
const TYPE_EFI_GUID: u16 = 0x0ef1;

/// A variable that is set with a signature only.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    vendor: Guid,
}

/// The signatures that start a program.
pub const DB: Variable = Variable {
    name: "db",
    vendor: IMAGE_SECURITY_DATABASE,
};
/// Who may change [`DB`].
pub const KEK: Variable = Variable {
    name: "KEK",
    vendor: GLOBAL_VARIABLE,
};
/// Who may change [`KEK`] and this one: one certificate. Setting it turns Secure Boot on.
pub const PK: Variable = Variable {
    name: "PK",
    vendor: GLOBAL_VARIABLE,
};

/// Who signs.
pub struct Signer {
    /// DER of the certificate.
    pub certificate: Vec<u8>,
    /// Its key: RSA.
    pub key: PrivateKey,
}

/// Signature lists (EFI_SIGNATURE_LIST) of certificates in DER: one list each, since the entries of a list are of one
/// size.
pub fn signature_lists(certificates: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut lists = Vec::new();
    for certificate in certificates {
        let entry = OWNER.0.len() + certificate.len();
        let list = CERT_X509.0.len() + 3 * size_of::<u32>() + entry;
        lists.extend(CERT_X509.0);
        lists.extend(length(list)?.to_le_bytes());
        lists.extend(0u32.to_le_bytes()); // no header of this type
        lists.extend(length(entry)?.to_le_bytes());
        lists.extend(OWNER.0);
        lists.extend(certificate);
    }
    Ok(lists)
}

/// What sets a variable to `data`, as SetVariable takes it: EFI_VARIABLE_AUTHENTICATION_2, then the data.
pub fn authenticated(variable: Variable, data: &[u8], at: SystemTime, signer: &Signer) -> Result<Vec<u8>> {
    let time = efi_time(at)?;
    let signature = signed_data::sign_detached(&signed(variable, &time, data), &signer.certificate, &signer.key)
        .with_context(|| format!("sign the variable {}", variable.name))?;
    let certificate = size_of::<u32>() + 2 * size_of::<u16>() + CERT_TYPE_PKCS7.0.len() + signature.len();
    let mut out = time.to_vec();
    out.extend(length(certificate)?.to_le_bytes());
    out.extend(REVISION.to_le_bytes());
    out.extend(TYPE_EFI_GUID.to_le_bytes());
    out.extend(CERT_TYPE_PKCS7.0);
    out.extend(signature);
    out.extend(data);
    Ok(out)
}

/// What the signature is over: name (UTF-16 without an end), vendor, attributes, time and data.
fn signed(variable: Variable, time: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = variable.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    out.extend(variable.vendor.0);
    out.extend(ATTRIBUTES.to_le_bytes());
    out.extend(time);
    out.extend(data);
    out
}

/// EFI_TIME in UTC, to the second: what is smaller, the zone and the padding have to be zero in a descriptor. Firmware
/// refuses a variable that is not newer than the one it has.
fn efi_time(at: SystemTime) -> Result<[u8; 16]> {
    let at = jiff::Timestamp::try_from(at).context("read the clock: the time is out of range")?;
    let civil = jiff::tz::Offset::UTC.to_datetime(at);
    let year = u16::try_from(civil.year())
        .context("read the clock: the year is negative")?
        .to_le_bytes();
    let mut out = [0; 16];
    let parts = [civil.month(), civil.day(), civil.hour(), civil.minute(), civil.second()];
    let bytes = year.into_iter().chain(parts.map(i8::cast_unsigned));
    out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = byte);
    Ok(out)
}

fn length(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).context("the certificates are larger than a variable of firmware can be")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use pki::{KeyKind, Request, Usage, der, pem};
    use proptest::prelude::*;

    use super::*;

    fn number(bytes: &[u8]) -> usize {
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// Certificates of signature lists, read as firmware does: by the sizes they name.
    fn certificates(mut lists: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while !lists.is_empty() {
            assert_eq!(lists[..16], CERT_X509.0);
            let [list, header, entry] = [16, 20, 24].map(|at| number(&lists[at..at + 4]));
            let (whole, rest) = lists.split_at(list);
            for entry in whole[28 + header..].chunks(entry) {
                assert_eq!(entry[..16], OWNER.0);
                all.push(entry[16..].to_vec());
            }
            lists = rest;
        }
        all
    }

    fn signer() -> Signer {
        let mut request = Request::client(KeyKind::Rsa2048, "the signer", &[], SystemTime::now());
        request.usage = Usage::CodeSigning;
        let pair = pki::self_signed(&request).unwrap();
        Signer {
            certificate: pem::certificates(&pair.crt).unwrap().remove(0),
            key: PrivateKey::from_pem(pair.key.expose()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn lists_give_back_the_certificates(
            all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..2000), 0..4)
        ) {
            prop_assert_eq!(certificates(&signature_lists(&all).unwrap()), all);
        }
    }

    #[test]
    fn guids_have_the_order_of_memory() {
        assert_eq!(
            GLOBAL_VARIABLE.0,
            *b"\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c"
        );
    }

    #[test]
    fn a_time_is_utc_to_the_second() {
        let at = UNIX_EPOCH + Duration::from_millis(1_709_210_096_789); // 2024-02-29 12:34:56.789
        assert_eq!(
            efi_time(at).unwrap(),
            *b"\xe8\x07\x02\x1d\x0c\x22\x38\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        );
    }

    #[test]
    fn what_is_signed_is_the_name_the_vendor_the_attributes_the_time_and_the_data() {
        let mut expected = b"d\0b\0".to_vec();
        expected.extend(b"\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f");
        expected.extend(b"\x27\0\0\0");
        expected.extend([9; 16]);
        expected.extend(b"data");
        assert_eq!(signed(DB, &[9; 16], b"data"), expected);
    }

    #[test]
    fn a_descriptor_has_the_signature_between_the_time_and_the_data() {
        let (signer, at) = (signer(), SystemTime::now());
        for variable in [DB, KEK, PK] {
            let data = signature_lists(std::slice::from_ref(&signer.certificate)).unwrap();
            let out = authenticated(variable, &data, at, &signer).unwrap();
            let time = efi_time(at).unwrap();
            assert_eq!(out[..16], time);
            let end = 16 + number(&out[16..20]);
            assert_eq!(out[20..24], *b"\x00\x02\xf1\x0e");
            assert_eq!(out[24..40], CERT_TYPE_PKCS7.0);
            assert_eq!(certificates(&out[end..]), std::slice::from_ref(&signer.certificate));
            // RSA of this form has no randomness, so signing again shows that the signature is over what it should be.
            let again =
                signed_data::sign_detached(&signed(variable, &time, &data), &signer.certificate, &signer.key).unwrap();
            assert_eq!(out[40..end], again);
            assert!(der::split(&out[40..end]).unwrap().2.is_empty());
        }
    }
}
