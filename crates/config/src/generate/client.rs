//! The configuration of a client that may do everything.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use pki::clientconfig::{ClientConfig, Context};
use pki::roles::Role;
use pki::{Authority, KeyKind, Request};

use super::{Error, Input};
use crate::secrets::{SecretsBundle, pki_error};

/// How long a client's certificate lives: a year.
pub const DEFAULT_CLIENT_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A client configuration with one context, named like the cluster, whose certificate has the role `os:admin`.
pub fn client_config(
    input: &Input,
    secrets: &SecretsBundle,
    endpoints: Vec<String>,
    now: SystemTime,
    ttl: Duration,
) -> Result<ClientConfig, Error> {
    let authority = Authority::from_pair(&secrets.os).map_err(pki_error("use the authority of the machine API"))?;
    let request = Request::client(KeyKind::Ed25519, "", &[Role::ADMIN.as_str()], now).with_ttl(ttl);
    let pair = authority
        .sign(&request)
        .map_err(pki_error("sign the client's certificate"))?;
    let context = Context {
        endpoints,
        ca: secrets.os.crt.clone(),
        crt: pair.crt,
        key: pair.key,
        ..Context::default()
    };
    Ok(ClientConfig {
        context: input.cluster_name.clone(),
        contexts: BTreeMap::from([(input.cluster_name.clone(), context)]),
    })
}
