//! Who may call what.
//!
//! Every call of the contract has a row; a call that has none needs the admin role. Some calls are decided further
//! by their handler (resources by sensitivity, see [`crate::state`]).

use http::HeaderMap;
use pki::roles::{Role, RoleSet};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

/// Metadata key with the roles of the caller, one value per role. Set by apid, believed on the local socket and from
/// clients that hold [`Role::IMPERSONATOR`].
pub const ROLE_KEY: &str = "talos-role";

/// Metadata key with the SHA-256 of the certificate of the authority that issued the caller's certificate. Set by apid
/// for calls that may take that authority away, and believed as [`ROLE_KEY`] is.
pub const AUTHORITY_KEY: &str = "keelson-caller-authority";

/// What an insufficient role gets to hear. Clients compare this text.
pub const NOT_AUTHORIZED: &str = "not authorized";
/// What callers of a node without configuration get to hear for calls that need one.
pub const NOT_IN_MAINTENANCE: &str = "API is not available in maintenance mode";

static READ: [Role; 3] = [Role::ADMIN, Role::OPERATOR, Role::READER];
static VERIFY: [Role; 4] = [Role::ADMIN, Role::OPERATOR, Role::READER, Role::IMAGE_VERIFIER];
static ETCD_READ: [Role; 4] = [Role::ADMIN, Role::OPERATOR, Role::READER, Role::ETCD_BACKUP];
static ETCD_SNAPSHOT: [Role; 3] = [Role::ADMIN, Role::OPERATOR, Role::ETCD_BACKUP];
static OPERATE: [Role; 2] = [Role::ADMIN, Role::OPERATOR];
static META: [Role; 2] = [Role::ADMIN, Role::META_WRITER];
static ADMIN: [Role; 1] = [Role::ADMIN];

/// The roles of which a caller needs one, for the call at that path. Unknown calls need the admin role.
pub fn allowed(path: &str) -> &'static [Role] {
    decision(path).unwrap_or(&ADMIN)
}

/// Refuses a caller who has none of the roles that the call needs.
pub fn authorize(path: &str, roles: &RoleSet) -> Result<(), Status> {
    if roles.includes_any(allowed(path)) {
        Ok(())
    } else {
        Err(Status::permission_denied(NOT_AUTHORIZED))
    }
}

/// Refuses calls that a node without configuration does not answer. There everyone is a reader, and the calls that
/// install or power off a machine are open: whoever reaches it could as well have booted it with their own image.
pub fn authorize_in_maintenance(path: &str) -> Result<(), Status> {
    if in_maintenance(path) {
        Ok(())
    } else if decision(path).is_some() {
        Err(Status::unimplemented(NOT_IN_MAINTENANCE))
    } else {
        Err(Status::permission_denied(NOT_IN_MAINTENANCE))
    }
}

/// The roles in the metadata of a request.
pub fn of_request<T>(request: &Request<T>) -> RoleSet {
    of_metadata(request.metadata())
}

/// The roles in metadata.
pub fn of_metadata(metadata: &MetadataMap) -> RoleSet {
    let values = metadata.get_all(ROLE_KEY).iter().filter_map(|v| v.to_str().ok());
    split(values)
}

/// The roles in the headers of an HTTP request.
pub fn of_headers(headers: &HeaderMap) -> RoleSet {
    split(headers.get_all(ROLE_KEY).iter().filter_map(|v| v.to_str().ok()))
}

/// Some intermediaries join repeated headers with commas.
fn split<'a>(values: impl Iterator<Item = &'a str>) -> RoleSet {
    let names: Vec<&str> = values.flat_map(|v| v.split(',')).map(str::trim).collect();
    RoleSet::from_organizations(&names)
}

/// Replaces the roles in the headers. Roles that cannot be a header value are left out: nobody can ask for them.
pub fn set_headers(headers: &mut HeaderMap, roles: &RoleSet) {
    headers.remove(ROLE_KEY);
    for role in roles.iter() {
        if let Ok(value) = role.as_str().parse() {
            headers.append(ROLE_KEY, value);
        }
    }
}

fn in_maintenance(path: &str) -> bool {
    match path.trim_start_matches('/').split_once('/') {
        Some(("machine.MachineService", method)) => matches!(
            method,
            "Version"
                | "ApplyConfiguration"
                | "Reset"
                | "Reboot"
                | "Shutdown"
                | "MetaWrite"
                | "Upgrade"
                | "Logs"
                | "Dmesg"
                | "Events"
        ),
        Some(("storage.StorageService", method)) => matches!(method, "Disks" | "BlockDeviceWipe"),
        Some(("cosi.resource.State", method)) => matches!(method, "Get" | "List" | "Watch"),
        _ => false,
    }
}

fn decision(path: &str) -> Option<&'static [Role]> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    match service {
        "machine.MachineService" => machine(method),
        "machine.ImageService" => Some(match method {
            "List" => &READ,
            "Verify" => &VERIFY,
            "Pull" => &OPERATE,
            "Import" | "Remove" => &ADMIN,
            _ => return None,
        }),
        "cosi.resource.State" => Some(match method {
            "Get" | "List" | "Watch" => &READ,
            "Create" | "Update" | "Destroy" | "Teardown" | "TeardownAndDestroy" => &ADMIN,
            _ => return None,
        }),
        "keelson.machine.InsightService" => Some(match method {
            "History" => &READ,
            "Plan" => &ADMIN,
            _ => return None,
        }),
        "keelson.machine.ClusterService" => (method == "ForgetNode").then_some(&ADMIN),
        "storage.StorageService" => Some(match method {
            "Disks" => &READ,
            "BlockDeviceWipe" => &ADMIN,
            _ => return None,
        }),
        "cluster.ClusterService" => (method == "HealthCheck").then_some(&READ),
        "inspect.InspectService" => (method == "ControllerRuntimeDependencies").then_some(&READ),
        "time.TimeService" => matches!(method, "Time" | "TimeCheck").then_some(&READ),
        "machine.LifecycleService" => matches!(method, "Install" | "Upgrade").then_some(&ADMIN),
        "machine.DebugService" => (method == "ContainerRun").then_some(&ADMIN),
        "machine.LVMService" => matches!(
            method,
            "LogicalVolumeRemove" | "VolumeGroupRemove" | "PhysicalVolumeRemove"
        )
        .then_some(&ADMIN),
        "machine.MDService" => (method == "Destroy").then_some(&ADMIN),
        "machine.StorageService" => (method == "Statfs").then_some(&ADMIN),
        // These have their own servers and never come through apid.
        "securityapi.SecurityService" => (method == "Certificate").then_some(&ADMIN),
        "signerapi.SignerService" => matches!(method, "GetCertificate" | "GetPublicKey" | "Sign").then_some(&ADMIN),
        _ => None,
    }
}

fn machine(method: &str) -> Option<&'static [Role]> {
    Some(match method {
        "CPUFreqStats" | "CPUInfo" | "Containers" | "DiskStats" | "DiskUsage" | "Dmesg" | "Events" | "Hostname"
        | "ImageList" | "List" | "LoadAvg" | "Logs" | "LogsContainers" | "Memory" | "Mounts" | "NetworkDeviceStats"
        | "Netstat" | "Processes" | "ServiceList" | "Stats" | "SystemStat" | "Version" => &READ,
        "EtcdAlarmList" | "EtcdMemberList" | "EtcdStatus" => &ETCD_READ,
        "EtcdSnapshot" => &ETCD_SNAPSHOT,
        "EtcdAlarmDisarm" | "EtcdDefragment" | "ImagePull" | "PacketCapture" | "Reboot" | "Restart"
        | "ServiceRestart" | "ServiceStart" | "ServiceStop" | "Shutdown" => &OPERATE,
        "MetaWrite" | "MetaDelete" => &META,
        "ApplyConfiguration"
        | "Bootstrap"
        | "Copy"
        | "EtcdDowngradeCancel"
        | "EtcdDowngradeEnable"
        | "EtcdDowngradeValidate"
        | "EtcdForfeitLeadership"
        | "EtcdLeaveCluster"
        | "EtcdRecover"
        | "EtcdRemoveMemberByID"
        | "GenerateClientConfiguration"
        | "Kubeconfig"
        | "Read"
        | "Reset"
        | "Rollback"
        | "Upgrade" => &ADMIN,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_call_has_a_decision() {
        for method in crate::method::all() {
            assert!(
                decision(&method.path).is_some(),
                "{} has no row in the table of roles",
                method.path
            );
        }
    }

    #[test]
    fn calls_without_a_row_need_the_admin_role() {
        for path in ["/machine.MachineService/Shell", "/nobody.Knows/This", "garbage", ""] {
            assert_eq!(allowed(path), [Role::ADMIN], "{path}");
        }
    }

    #[test]
    fn roles_reach_as_far_as_the_table_says() {
        let may = |role: Role, call: &str| {
            authorize(&format!("/machine.MachineService/{call}"), &RoleSet::of(&[role])).is_ok()
        };
        assert!(may(Role::READER, "Version") && !may(Role::READER, "Reboot") && !may(Role::READER, "Read"));
        assert!(may(Role::OPERATOR, "Reboot") && !may(Role::OPERATOR, "Kubeconfig"));
        assert!(may(Role::ETCD_BACKUP, "EtcdSnapshot") && !may(Role::ETCD_BACKUP, "Version"));
        assert!(may(Role::META_WRITER, "MetaWrite") && !may(Role::OPERATOR, "MetaWrite"));
        assert!(may(Role::ADMIN, "Reset") && !may(Role::IMPERSONATOR, "Version"));
        assert!(!may(Role::new("os:future"), "Version"));
        let nobody = authorize("/machine.MachineService/Version", &RoleSet::default());
        assert_eq!(nobody.unwrap_err().message(), NOT_AUTHORIZED);
    }

    #[test]
    fn a_node_in_maintenance_answers_only_what_leads_out_of_it() {
        assert!(authorize_in_maintenance("/machine.MachineService/ApplyConfiguration").is_ok());
        assert!(authorize_in_maintenance("/cosi.resource.State/Watch").is_ok());
        let refused = authorize_in_maintenance("/machine.MachineService/Kubeconfig").unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (tonic::Code::Unimplemented, NOT_IN_MAINTENANCE)
        );
        let unknown = authorize_in_maintenance("/x.Y/Z").unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::PermissionDenied);
    }

    #[test]
    fn roles_survive_the_way_through_headers() {
        let roles = RoleSet::of(&[Role::ADMIN, Role::new("os:future")]);
        let mut headers = HeaderMap::new();
        headers.append(ROLE_KEY, "os:reader".parse().unwrap());
        set_headers(&mut headers, &roles);
        assert_eq!(of_headers(&headers), roles);
        headers.append(ROLE_KEY, "os:reader, os:operator".parse().unwrap());
        assert_eq!(of_headers(&headers).names().len(), 4);
    }
}
