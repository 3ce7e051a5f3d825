//! Every call with every role, against a node that runs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use api::{method, roles};
use bytes::Bytes;
use e2e::run::Test;
use e2e::tests;
use e2e::wire::{Issuer, call};
use pki::roles::RoleSet;
use tonic::Code;

use crate::cluster::{Cluster, control_plane};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![every_call_is_open_to_the_roles_of_the_table_and_to_no_others]
}

/// Who asks: the organizations of the certificate.
const CALLERS: [&[&str]; 11] = [
    &["os:admin"],
    &["os:operator"],
    &["os:reader"],
    &["os:etcd:backup"],
    &["os:image:verifier"],
    &["os:meta:writer"],
    &["os:impersonator"],
    &["os:future"],
    &["admin", "system:masters"],
    &["os:reader", "os:meta:writer"],
    &[],
];

/// No message begins with this byte, so a call that is let in is refused when its message is read: none of them does
/// anything, not even `Reset`.
const NONSENSE: &[u8] = &[0xff];

/// A call that nobody declared: it takes the administrator's role.
const UNDECLARED: &str = "/machine.MachineService/Shell";

pub fn issuer(c: &Cluster) -> Result<Issuer> {
    let config = c.ask(
        control_plane(),
        &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"],
    )?;
    Issuer::of(&config)
}

fn every_call_is_open_to_the_roles_of_the_table_and_to_no_others(c: &Cluster) -> Result<()> {
    let issuer = issuer(c)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut paths: Vec<&str> = method::all().map(|method| method.path.as_str()).collect();
    paths.sort_unstable();
    paths.push(UNDECLARED);
    ensure!(paths.len() > 80, "{} calls are declared", paths.len());
    let (mut denied, mut asked) = (0, 0);
    let wrong = runtime.block_on(async {
        let mut wrong = BTreeMap::new();
        for organizations in CALLERS {
            let client = issuer.client(control_plane(), organizations)?;
            let own = RoleSet::from_organizations(organizations);
            for path in &paths {
                let status = call(&client, path, Bytes::from_static(NONSENSE)).await;
                let code = status.with_context(|| format!("as {organizations:?}"))?.code();
                let open = roles::authorize(path, &own).is_ok();
                asked += 1;
                denied += usize::from(code == Code::PermissionDenied);
                // What is let in must come to nothing, or the test has called something.
                let fits = match open {
                    true => !matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::Ok),
                    false => code == Code::PermissionDenied,
                };
                if !fits {
                    wrong.insert(format!("{path} as {organizations:?}"), code);
                }
            }
        }
        anyhow::Ok(wrong)
    })?;
    println!("  {asked} combinations of call and role were asked, {denied} were denied");
    ensure!(wrong.is_empty(), "not as the table of roles says: {wrong:#?}");
    c.ask(control_plane(), &["version"]).map(drop)
}
