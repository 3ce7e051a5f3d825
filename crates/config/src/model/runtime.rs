//! The operating system: environment, kernel, logs, extensions, trust.

use std::collections::BTreeMap;
use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::FileMode;

model! {
    /// A file for an extension.
    pub struct ConfigFile: "extensions.ConfigFile" {
        /// Content of the file.
        content: Option<String> = "content";
        /// Where it appears.
        mount_path: Option<String> = "mountPath";
    }

    /// Files and environment of an extension's service.
    pub struct ExtensionServiceConfig: "extensions.ServiceConfigV1Alpha1", kind "ExtensionServiceConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Files put into the extension's file system.
        config_files: Vec<ConfigFile> = "configFiles".by_key(&["mountPath"]);
        /// Environment variables, `NAME=value`.
        environment: Vec<String> = "environment";
    }

    /// Binds a PCI device to another driver.
    pub struct PCIDriverRebindConfig: "hardware.PCIDriverRebindConfigV1Alpha1", kind "PCIDriverRebindConfig" named {
        /// Id of the device on the PCI bus.
        name: Option<String> = "name".required();
        /// Driver to bind the device to.
        target_driver: Option<String> = "targetDriver".required();
    }

    /// Chooses a disk.
    pub struct DiskSelectorSpec: "runtime.DiskSelectorSpec" {
        /// Expression (CEL) that is true for what is meant.
        match_: Option<String> = "match";
    }

    /// Environment variables of the system's services.
    pub struct EnvironmentConfig: "runtime.EnvironmentV1Alpha1", kind "EnvironmentConfig" {
        /// Values by name.
        variables: BTreeMap<String, String> = "variables";
    }

    /// A file under /etc.
    pub struct EtcFileConfig: "runtime.EtcFileConfigV1Alpha1", kind "EtcFileConfig" named since "v1.14" {
        /// Path of the file under /etc.
        name: Option<String> = "name".required();
        /// Permissions in octal, such as `0o644`.
        mode: Option<FileMode> = "mode";
        /// Content.
        contents: Option<String> = "contents";
    }

    /// Where events are sent.
    pub struct EventSinkConfig: "runtime.EventSinkV1Alpha1", kind "EventSinkConfig" {
        /// Host and port events are sent to.
        endpoint: Option<String> = "endpoint";
    }

    /// What installs the system.
    pub struct InstallerSpec: "runtime.InstallerSpec" {
        /// Container image.
        image: Option<String> = "image";
    }

    /// A kernel module to load.
    pub struct KernelModuleConfig: "runtime.KernelModuleConfigV1Alpha1", kind "KernelModuleConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Parameters, `name=value`.
        parameters: Vec<String> = "parameters";
    }

    /// Sends the kernel's log away.
    pub struct KmsgLogConfig: "runtime.KmsgLogV1Alpha1", kind "KmsgLogConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Where the kernel's log is sent: `udp://host:port` or `tcp://host:port`.
        url: Option<String> = "url".format(Format::Url(&["tcp", "udp"]));
    }

    /// What is killed when memory is short.
    pub struct OOMConfig: "runtime.OOMV1Alpha1", kind "OOMConfig" {
        /// Expression (CEL) that is true when memory is short.
        trigger_expression: Option<String> = "triggerExpression";
        /// Expression (CEL) that ranks control groups for killing.
        cgroup_ranking_expression: Option<String> = "cgroupRankingExpression";
        /// Kill the least important class of pods first, whatever the ranking.
        strict_cgroup_class_ordering: Option<bool> = "strictCgroupClassOrdering";
        /// Time between two looks at the pressure.
        sample_interval: Option<Duration> = "sampleInterval";
    }

    /// How a volume is made.
    pub struct ProvisioningSpec: "runtime.ProvisioningSpec" {
        /// Chooses the disk by its properties.
        disk_selector: Option<DiskSelectorSpec> = "diskSelector";
        /// Wipe the disk first.
        wipe: Option<bool> = "wipe";
    }

    /// How closely the system is confined.
    pub struct SecurityProfileConfig: "runtime.SecurityProfileConfigV1Alpha1", kind "SecurityProfileConfig" since "v1.14" {
        /// Isolate workloads more strongly.
        workload_isolation: Option<bool> = "workloadIsolation";
    }

    /// Kernel parameters under /proc/sys.
    pub struct SysctlConfig: "runtime.SysctlConfigV1Alpha1", kind "SysctlConfig" since "v1.14" {
        /// Values by name.
        params: BTreeMap<String, String> = "params";
    }

    /// Attributes under /sys.
    pub struct SysfsConfig: "runtime.SysfsConfigV1Alpha1", kind "SysfsConfig" since "v1.14" {
        /// Values by name.
        params: BTreeMap<String, String> = "params";
    }

    /// Rules of the device manager.
    pub struct UdevRulesConfig: "runtime.UdevRulesConfigV1Alpha1", kind "UdevRulesConfig" since "v1.14" {
        /// Rules.
        rules: Vec<String> = "rules";
    }

    /// Installs the system without being asked.
    pub struct UnattendedInstall: "runtime.UnattendedInstallConfigV1Alpha1", kind "UnattendedInstall" since "v1.14" {
        /// Reboot when it is done.
        reboot: Option<bool> = "reboot";
        /// What installs.
        installer: Option<InstallerSpec> = "installer";
        /// How it is made.
        provisioning: Option<ProvisioningSpec> = "provisioning";
    }

    /// Restarts the machine when it hangs.
    pub struct WatchdogTimerConfig: "runtime.WatchdogTimerV1Alpha1", kind "WatchdogTimerConfig" {
        /// Path of the device.
        device: Option<String> = "device";
        /// Time allowed.
        timeout: Option<Duration> = "timeout";
    }

    /// Authorities the machine trusts beside the usual ones.
    pub struct TrustedRootsConfig: "security.TrustedRootsConfigV1Alpha1", kind "TrustedRootsConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Certificates of authorities, PEM.
        certificates: Option<String> = "certificates";
    }

    /// A tunnel to a management service.
    pub struct SideroLinkConfig: "siderolink.ConfigV1Alpha1", kind "SideroLinkConfig" {
        /// URL of the API to register with.
        api_url: Option<String> = "apiUrl".format(Format::Url(&["https", "grpc"]));
        /// Token that tells this machine from others.
        unique_token: Option<Secret> = "uniqueToken";
    }
}
