//! Keys, certificate authorities, certificates, detached signatures, roles and client configuration.
//!
//! Everything here takes the time as an argument and draws randomness from one library, so callers can test it.
//!
//! ```
//! use std::time::SystemTime;
//! use pki::{Authority, KeyKind, Request, roles::Role};
//!
//! # fn main() -> Result<(), pki::Error> {
//! let now = SystemTime::now();
//! let authority = Authority::new_os(now)?;
//! let admin = authority.sign(&Request::client(KeyKind::Ed25519, "", &[Role::ADMIN.as_str()], now))?;
//! assert_eq!(pki::cert_info(&admin.crt)?.organizations, ["os:admin"]);
//! let client = pki::tls::client_config(authority.certificate(), Some(&admin))?;
//! # Ok(())
//! # }
//! ```

mod authority;
mod certificate;
pub mod clientconfig;
pub mod der;
mod error;
pub mod fingerprint;
mod info;
mod key;
mod pair;
pub mod pem;
mod request;
pub mod roles;
mod secret;
pub mod signed_data;
pub mod tls;
pub mod tokens;

pub use authority::{AUTHORITY_LIFETIME, Authority, AuthorityRequest, CLOCK_SKEW, Request, Terms, Usage, self_signed};
pub use error::Error;
pub use info::{CertInfo, cert_info, cert_info_der, is_issued_by};
pub use key::{KeyKind, PrivateKey, service_account_key};
pub use pair::{CertAndKey, base64_bytes, base64_secret};
pub use request::Csr;
pub use secret::{REDACTED, Secret};
