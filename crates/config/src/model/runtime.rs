//! runtime

use std::collections::BTreeMap;
use std::time::Duration;

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::FileMode;

model! {
    /// Config file.
    pub struct ConfigFile: "extensions.ConfigFile" {
        /// Content.
        content: Option<String> = "content";
        /// Mount path.
        mount_path: Option<String> = "mountPath";
    }

    /// Extension service config.
    pub struct ExtensionServiceConfig: "extensions.ServiceConfigV1Alpha1", kind "ExtensionServiceConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Config files.
        config_files: Vec<ConfigFile> = "configFiles".by_key(&["mountPath"]);
        /// Environment.
        environment: Vec<String> = "environment";
    }

    /// Pcidriver rebind config.
    pub struct PCIDriverRebindConfig: "hardware.PCIDriverRebindConfigV1Alpha1", kind "PCIDriverRebindConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Target driver.
        target_driver: Option<String> = "targetDriver".required();
    }

    /// Disk selector spec.
    pub struct DiskSelectorSpec: "runtime.DiskSelectorSpec" {
        /// Match.
        match_: Option<String> = "match";
    }

    /// Environment config.
    pub struct EnvironmentConfig: "runtime.EnvironmentV1Alpha1", kind "EnvironmentConfig" {
        /// Variables.
        variables: BTreeMap<String, String> = "variables";
    }

    /// Etc file config.
    pub struct EtcFileConfig: "runtime.EtcFileConfigV1Alpha1", kind "EtcFileConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Mode.
        mode: Option<FileMode> = "mode";
        /// Contents.
        contents: Option<String> = "contents";
    }

    /// Event sink config.
    pub struct EventSinkConfig: "runtime.EventSinkV1Alpha1", kind "EventSinkConfig" {
        /// Endpoint.
        endpoint: Option<String> = "endpoint";
    }

    /// Installer spec.
    pub struct InstallerSpec: "runtime.InstallerSpec" {
        /// Image.
        image: Option<String> = "image";
    }

    /// Kernel module config.
    pub struct KernelModuleConfig: "runtime.KernelModuleConfigV1Alpha1", kind "KernelModuleConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Parameters.
        parameters: Vec<String> = "parameters";
    }

    /// Kmsg log config.
    pub struct KmsgLogConfig: "runtime.KmsgLogV1Alpha1", kind "KmsgLogConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Url.
        url: Option<String> = "url".format(Format::Url(&["tcp", "udp"]));
    }

    /// Oomconfig.
    pub struct OOMConfig: "runtime.OOMV1Alpha1", kind "OOMConfig" {
        /// Trigger expression.
        trigger_expression: Option<String> = "triggerExpression";
        /// Cgroup ranking expression.
        cgroup_ranking_expression: Option<String> = "cgroupRankingExpression";
        /// Strict cgroup class ordering.
        strict_cgroup_class_ordering: Option<bool> = "strictCgroupClassOrdering";
        /// Sample interval.
        sample_interval: Option<Duration> = "sampleInterval";
    }

    /// Provisioning spec.
    pub struct ProvisioningSpec: "runtime.ProvisioningSpec" {
        /// Disk selector.
        disk_selector: Option<DiskSelectorSpec> = "diskSelector";
        /// Wipe.
        wipe: Option<bool> = "wipe";
    }

    /// Security profile config.
    pub struct SecurityProfileConfig: "runtime.SecurityProfileConfigV1Alpha1", kind "SecurityProfileConfig" since "v1.14" {
        /// Workload isolation.
        workload_isolation: Option<bool> = "workloadIsolation";
    }

    /// Sysctl config.
    pub struct SysctlConfig: "runtime.SysctlConfigV1Alpha1", kind "SysctlConfig" since "v1.14" {
        /// Params.
        params: BTreeMap<String, String> = "params";
    }

    /// Sysfs config.
    pub struct SysfsConfig: "runtime.SysfsConfigV1Alpha1", kind "SysfsConfig" since "v1.14" {
        /// Params.
        params: BTreeMap<String, String> = "params";
    }

    /// Udev rules config.
    pub struct UdevRulesConfig: "runtime.UdevRulesConfigV1Alpha1", kind "UdevRulesConfig" since "v1.14" {
        /// Rules.
        rules: Vec<String> = "rules";
    }

    /// Unattended install.
    pub struct UnattendedInstall: "runtime.UnattendedInstallConfigV1Alpha1", kind "UnattendedInstall" since "v1.14" {
        /// Reboot.
        reboot: Option<bool> = "reboot";
        /// Installer.
        installer: Option<InstallerSpec> = "installer";
        /// Provisioning.
        provisioning: Option<ProvisioningSpec> = "provisioning";
    }

    /// Watchdog timer config.
    pub struct WatchdogTimerConfig: "runtime.WatchdogTimerV1Alpha1", kind "WatchdogTimerConfig" {
        /// Device.
        device: Option<String> = "device";
        /// Timeout.
        timeout: Option<Duration> = "timeout";
    }

    /// Trusted roots config.
    pub struct TrustedRootsConfig: "security.TrustedRootsConfigV1Alpha1", kind "TrustedRootsConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Certificates.
        certificates: Option<String> = "certificates";
    }

    /// Sidero link config.
    pub struct SideroLinkConfig: "siderolink.ConfigV1Alpha1", kind "SideroLinkConfig" {
        /// Api url.
        api_url: Option<String> = "apiUrl".format(Format::Url(&["https", "grpc"]));
        /// Unique token.
        unique_token: Option<Secret> = "uniqueToken";
    }
}
