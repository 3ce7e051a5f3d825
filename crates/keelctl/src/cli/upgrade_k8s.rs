//! Arguments of `upgrade-k8s`.

use std::time::Duration;

use clap::Args;

use crate::output::age::parse_duration;

/// `upgrade-k8s`
#[derive(Debug, Args)]
pub struct UpgradeK8s {
    /// Version to upgrade to
    #[arg(long, value_name = "VERSION", default_value_t = crate::defaults::KUBERNETES_VERSION.to_owned())]
    pub to: String,
    /// Version that runs, where the tags of images do not tell it
    #[arg(long, value_name = "VERSION")]
    pub from: Option<String>,
    /// Only show what would be done, and what it would change
    #[arg(long)]
    pub dry_run: bool,
    /// Kubernetes endpoint to use instead of the cluster's own and its control planes
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// How long a node may be unwell until the upgrade stops before the next step (not in talosctl)
    #[arg(long, default_value = "1m0s", value_parser = parse_duration)]
    pub node_timeout: Duration,
    /// Upgrade kubelets too
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub upgrade_kubelet: bool,
    /// Pull the new images on all nodes before anything is changed
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub pre_pull_images: bool,
    /// Repository of the API server, instead of the one that the configurations name
    #[arg(long, value_name = "REPOSITORY")]
    pub apiserver_image: Option<String>,
    /// Repository of the controller manager, instead of the one that the configurations name
    #[arg(long, value_name = "REPOSITORY")]
    pub controller_manager_image: Option<String>,
    /// Repository of the scheduler, instead of the one that the configurations name
    #[arg(long, value_name = "REPOSITORY")]
    pub scheduler_image: Option<String>,
    /// Repository of kube-proxy, instead of the one that the configurations name
    #[arg(long, value_name = "REPOSITORY")]
    pub proxy_image: Option<String>,
    /// Repository of the kubelet, instead of the one that the configurations name
    #[arg(long, value_name = "REPOSITORY")]
    pub kubelet_image: Option<String>,
    /// Set what the manifests set also where somebody else changed it
    #[arg(long)]
    pub manifests_force: bool,
    /// How long what the manifests change may take to run
    #[arg(long, default_value = "5m0s", value_parser = parse_duration)]
    pub manifests_reconcile_timeout: Duration,
    /// Taken and not needed: objects are never removed
    #[arg(long)]
    pub manifests_no_prune: bool,
    /// Taken and not needed: there is no inventory of objects
    #[arg(long, value_name = "POLICY", default_value = "AdoptIfNoInventory")]
    pub manifests_inventory_policy: String,
    /// Taken and not needed: configurations get no comments
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub with_docs: bool,
    /// Taken and not needed: configurations get no comments
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub with_examples: bool,
}
