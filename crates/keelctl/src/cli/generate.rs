//! Arguments of commands that work on files.

use clap::{Args, Subcommand};

/// `gen`
#[derive(Debug, Args)]
pub struct Gen {
    /// Overwrite files that exist
    #[arg(short, long, global = true)]
    pub force: bool,
    /// What to generate.
    #[command(subcommand)]
    pub command: GenAction,
}

/// What `gen` can do.
#[derive(Debug, Subcommand)]
pub enum GenAction {
    /// Generate a certificate authority: ORGANIZATION.crt, .key and .sha256
    Ca {
        /// Organization of the authority, and name of the files
        #[arg(long)]
        organization: String,
        /// Hours it is valid
        #[arg(long, default_value_t = 87600)]
        hours: u64,
        /// Make an RSA key instead of Ed25519
        #[arg(long)]
        rsa: bool,
    },
    /// Generate machine configurations and a client configuration for a new cluster
    Config(Box<GenConfig>),
    /// Sign a request with an authority: NAME.crt
    Crt {
        /// Name of the authority's files, without extension
        #[arg(long)]
        ca: String,
        /// File of the request
        #[arg(long)]
        csr: String,
        /// Name of the file to write, without extension
        #[arg(long)]
        name: String,
        /// Hours it is valid
        #[arg(long, default_value_t = 24)]
        hours: u64,
    },
    /// Make a certificate signing request for a key: KEY.csr
    Csr {
        /// File of the key
        #[arg(long)]
        key: String,
        /// Address the certificate is for
        #[arg(long)]
        ip: Option<String>,
        /// Roles to ask for
        #[arg(long, value_delimiter = ',', default_value = "os:admin")]
        roles: Vec<String>,
    },
    /// Generate an Ed25519 key: NAME.key
    Key {
        /// Name of the file to write, without extension
        #[arg(long)]
        name: String,
    },
    /// Generate an Ed25519 key and a self-signed certificate: ORGANIZATION.crt and .key
    Keypair {
        /// Address the certificate is for
        #[arg(long)]
        ip: Option<String>,
        /// Organization, and name of the files
        #[arg(long)]
        organization: String,
    },
    /// Generate the secrets of a cluster
    Secrets {
        /// Take the secrets of an existing control plane configuration
        #[arg(long, value_name = "PATH")]
        from_controlplane_config: Option<String>,
        /// Take the authorities of a kubeadm cluster (folder, usually /etc/kubernetes/pki)
        #[arg(short = 'p', long, value_name = "PATH")]
        from_kubernetes_pki: Option<String>,
        /// Bootstrap token to use with --from-kubernetes-pki
        #[arg(short = 't', long)]
        kubernetes_bootstrap_token: Option<String>,
        /// File to write
        #[arg(short, long, default_value = "secrets.yaml")]
        output_file: String,
        /// Generate for this version of the machine API, for example v1.6
        #[arg(long)]
        talos_version: Option<String>,
    },
    /// Generate keys, certificates and databases for UEFI Secure Boot
    #[command(name = "secureboot")]
    SecureBoot(SecureBoot),
}

/// `gen secureboot`
#[derive(Debug, Args)]
pub struct SecureBoot {
    /// Folder for the files
    #[arg(short, long, global = true, value_name = "PATH", default_value = "_out")]
    pub output: String,
    /// What to generate.
    #[command(subcommand)]
    pub command: SecureBootAction,
}

/// What `gen secureboot` can do.
#[derive(Debug, Subcommand)]
pub enum SecureBootAction {
    /// Generate what makes UEFI firmware trust a certificate: db.auth, KEK.auth and PK.auth
    Database {
        /// Certificate to trust (PEM); others that follow it in the file are put in db only
        #[arg(long, value_name = "PATH", default_value = "_out/uki-signing-cert.pem")]
        enrolled_certificate: String,
        /// Refused: Microsoft's certificates are not part of this program
        #[arg(long)]
        include_well_known_uefi_certs: bool,
        /// Certificate of the key that signs the files (PEM)
        #[arg(long, value_name = "PATH", default_value = "_out/uki-signing-cert.pem")]
        signing_certificate: String,
        /// Key that signs the files: RSA (PEM)
        #[arg(long, value_name = "PATH", default_value = "_out/uki-signing-key.pem")]
        signing_key: String,
    },
    /// Generate the key that signs PCR values: pcr-signing-key.pem
    Pcr,
    /// Generate the key and the certificate that sign kernel images: uki-signing-key.pem, uki-signing-cert.pem and .der
    Uki {
        /// Common name of the certificate
        #[arg(long, default_value = "Test UKI Signing Key")]
        common_name: String,
    },
}

/// `gen config`
#[derive(Debug, Args)]
pub struct GenConfig {
    /// Name of the cluster
    pub cluster_name: String,
    /// URL of the Kubernetes API, https://HOST:6443
    pub cluster_endpoint: String,
    /// More names and addresses for certificates of nodes
    #[arg(long, value_delimiter = ',')]
    pub additional_sans: Vec<String>,
    /// Patch for all machines: inline or @file; repeatable
    #[arg(long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch: Vec<String>,
    /// Patch for control planes
    #[arg(long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch_control_plane: Vec<String>,
    /// Patch for workers
    #[arg(long, value_name = "PATCH", allow_hyphen_values = true)]
    pub config_patch_worker: Vec<String>,
    /// DNS domain of the cluster
    #[arg(long, default_value = "cluster.local")]
    pub dns_domain: String,
    /// Disk to install to
    #[arg(long, default_value = "/dev/sda")]
    pub install_disk: String,
    /// Image to install
    #[arg(long, default_value_t = crate::defaults::INSTALLER.to_owned())]
    pub install_image: String,
    /// Version of Kubernetes
    #[arg(long, default_value_t = crate::defaults::KUBERNETES_VERSION.to_owned())]
    pub kubernetes_version: String,
    /// Folder for several files, or the file (`-`: standard output) if there is one --output-types
    #[arg(short, long)]
    pub output: Option<String>,
    /// Which files to make
    #[arg(
        short = 't',
        long,
        value_delimiter = ',',
        default_value = "controlplane,worker,talosconfig"
    )]
    pub output_types: Vec<String>,
    /// Registry mirrors, HOST=URL
    #[arg(long, value_delimiter = ',')]
    pub registry_mirror: Vec<String>,
    /// Generate for this version of the machine API, for example v1.6
    #[arg(long)]
    pub talos_version: Option<String>,
    /// Version of the configuration format
    #[arg(long, default_value = "v1alpha1", value_parser = ["v1alpha1"])]
    pub version: String,
    /// Enable cluster discovery
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub with_cluster_discovery: bool,
    /// Explain fields in comments
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub with_docs: bool,
    /// Show examples in comments
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub with_examples: bool,
    /// Enable the WireGuard mesh
    #[arg(long)]
    pub with_kubespan: bool,
    /// Use the secrets of this file
    #[arg(long, value_name = "PATH")]
    pub with_secrets: Option<String>,
    /// Store the configuration on the machine (older clusters)
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, hide = true)]
    pub persist: bool,
}

/// `machineconfig`
#[derive(Debug, Args)]
pub struct MachineConfig {
    /// What to do.
    #[command(subcommand)]
    pub command: MachineConfigAction,
}

/// What `machineconfig` can do.
#[derive(Debug, Subcommand)]
pub enum MachineConfigAction {
    /// Generate machine configurations: the same as `gen config`
    Gen {
        /// Overwrite files that exist
        #[arg(short, long)]
        force: bool,
        /// What to generate.
        #[command(flatten)]
        config: Box<GenConfig>,
    },
    /// Patch a machine configuration file
    Patch {
        /// The file, `-` for standard input
        file: String,
        /// Patch: inline or @file; repeatable
        #[arg(short, long, value_name = "PATCH", allow_hyphen_values = true)]
        patch: Vec<String>,
        /// File to write instead of standard output
        #[arg(short, long)]
        output: Option<String>,
    },
}

/// `validate`
#[derive(Debug, Args)]
pub struct Validate {
    /// File with the machine configuration, `-` for standard input
    #[arg(short, long, value_name = "PATH")]
    pub config: String,
    /// Kind of machine: metal, cloud or container
    #[arg(short, long)]
    pub mode: String,
    /// Warnings are errors
    #[arg(long)]
    pub strict: bool,
}

/// `completion`
#[derive(Debug, Args)]
pub struct Completion {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `docs`
#[derive(Debug, Args)]
pub struct Docs {
    /// File to write instead of standard output
    #[arg(short, long)]
    pub output: Option<String>,
}
