//! Kernel settings, environment and trust of the machine.

use std::collections::BTreeMap;

use crate::Config;
use crate::model::runtime;
use crate::model::runtime::TrustedRootsConfig;

/// Environment variables of the system's services (proxies, for example).
pub fn environment(config: &Config) -> BTreeMap<String, String> {
    let mut view = config.machine().map(|machine| machine.env.clone()).unwrap_or_default();
    for document in config.all::<runtime::EnvironmentConfig>() {
        view.extend(document.variables);
    }
    view
}

/// Kernel parameters under `/proc/sys`, by name with dots.
pub fn sysctls(config: &Config) -> BTreeMap<String, String> {
    let mut view = config
        .machine()
        .map(|machine| machine.sysctls.clone())
        .unwrap_or_default();
    for document in config.all::<runtime::SysctlConfig>() {
        view.extend(document.params);
    }
    view
}

/// Attributes under `/sys`, by name with dots.
pub fn sysfs(config: &Config) -> BTreeMap<String, String> {
    let mut view = config
        .machine()
        .map(|machine| machine.sysfs.clone())
        .unwrap_or_default();
    for document in config.all::<runtime::SysfsConfig>() {
        view.extend(document.params);
    }
    view
}

/// Rules of udev.
pub fn udev_rules(config: &Config) -> Vec<String> {
    let legacy = config
        .machine()
        .and_then(|machine| machine.udev.as_ref())
        .map(|udev| udev.rules.clone());
    let documents = config
        .all::<runtime::UdevRulesConfig>()
        .into_iter()
        .flat_map(|document| document.rules);
    legacy.unwrap_or_default().into_iter().chain(documents).collect()
}

/// A kernel module to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelModule {
    /// Its name.
    pub name: String,
    /// Its parameters, `name=value`.
    pub parameters: Vec<String>,
}

/// Kernel modules to load.
pub fn kernel_modules(config: &Config) -> Vec<KernelModule> {
    let legacy = config.machine().and_then(|machine| machine.kernel.as_ref());
    let legacy = legacy
        .into_iter()
        .flat_map(|kernel| &kernel.modules)
        .map(|module| KernelModule {
            name: module.name.clone().unwrap_or_default(),
            parameters: module.parameters.clone(),
        });
    let document = |module: runtime::KernelModuleConfig| KernelModule {
        name: module.name.unwrap_or_default(),
        parameters: module.parameters,
    };
    legacy.chain(config.all().into_iter().map(document)).collect()
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileOperation {
    /// It is made, in place of what is there.
    #[default]
    Create,
    /// It is replaced; it must be there.
    Overwrite,
    /// Something is added to its end.
    Append,
}

/// A file to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFile {
    /// Its path.
    pub path: String,
    /// What is done.
    pub operation: FileOperation,
    /// What it says, or is added to it.
    pub content: String,
    /// Its permission bits.
    pub mode: u32,
}

/// Files to write, in order.
pub fn machine_files(config: &Config) -> Vec<MachineFile> {
    let files = config
        .machine()
        .map(|machine| machine.files.clone())
        .unwrap_or_default();
    let file = |file: crate::v1alpha1::MachineFile| MachineFile {
        operation: match file.op.as_deref() {
            Some("append") => FileOperation::Append,
            Some("overwrite") => FileOperation::Overwrite,
            _ => FileOperation::Create,
        },
        path: file.path.unwrap_or_default(),
        content: file.content.unwrap_or_default(),
        // Without permissions a file is its owner's alone.
        mode: file.permissions.map_or(0o600, |mode| mode.0 & 0o7777),
    };
    files.into_iter().map(file).collect()
}

/// Parts of the container runtime's configuration, TOML by name.
pub fn container_runtime(config: &Config) -> Vec<(String, String)> {
    let documents = config.all::<crate::model::cri::CRICustomizationConfig>().into_iter();
    documents
        .map(|document| (document.name.unwrap_or_default(), document.content.unwrap_or_default()))
        .collect()
}

/// Whether more is logged than usual.
pub fn debug(config: &Config) -> bool {
    config.v1alpha1().and_then(|main| main.debug).unwrap_or_default()
}

/// How the machine's addresses are sorted: `v1` or `v2`; `None` for the usual way.
pub fn address_sort_algorithm(config: &Config) -> Option<String> {
    let features = config.machine()?.features.as_ref()?;
    features
        .node_address_sort_algorithm
        .clone()
        .filter(|name| !name.is_empty())
}

/// Certificates of authorities the machine trusts beside the usual ones: PEM by name.
pub fn trusted_roots(config: &Config) -> BTreeMap<String, String> {
    let documents = config.all::<TrustedRootsConfig>().into_iter();
    documents
        .map(|document| {
            (
                document.name.unwrap_or_default(),
                document.certificates.unwrap_or_default(),
            )
        })
        .collect()
}
