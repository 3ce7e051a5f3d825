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
