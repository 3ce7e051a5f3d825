//! Arguments of commands about images: those of nodes, those of registries, and the distribution's own.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::common::ClientFlags;

/// `image`
#[derive(Debug, Args)]
pub struct Image {
    /// How to reach nodes.
    #[command(flatten)]
    pub client: ClientFlags,
    /// Which images of nodes: system, cri or inmem
    #[arg(long, default_value = "cri", global = true)]
    pub namespace: String,
    /// What to do.
    #[command(subcommand)]
    pub command: ImageAction,
}

/// What `image` can do.
#[derive(Debug, Subcommand)]
pub enum ImageAction {
    /// Build the distribution: root filesystem, node image, and every Kubernetes image
    ///
    /// Makes from our programs, the Go components and Debian's files what `cargo xtask dist` makes of them, to the
    /// byte. Go components and Debian's files are fetched and compiled where the cache does not have them.
    Build {
        /// Folder of the distribution's manifests
        #[arg(long, default_value = "distro", value_name = "FOLDER")]
        distro: PathBuf,
        /// Folder of our programs and crates.json [default: programs, beside this program]
        #[arg(long, value_name = "FOLDER")]
        programs: Option<PathBuf>,
        /// Folder of downloads and of what was built before [default: ~/.cache/keelson]
        #[arg(long, value_name = "FOLDER", env = "KEELSON_CACHE", hide_env_values = true)]
        cache: Option<PathBuf>,
        /// Where the products go
        #[arg(long, short, default_value = "dist", value_name = "FOLDER")]
        output: PathBuf,
        /// Fail when a Debian package of debian.lock can no longer be had, and take no other version of it
        #[arg(long)]
        locked: bool,
    },
    /// Copy images from their registries into a folder
    CacheCreate(CacheCreate),
    /// Serve a folder of images as a registry
    CacheServe(CacheServe),
    /// Upload an image to nodes (not in talosctl)
    Import {
        /// File with the image, as `docker save` writes it
        archive: PathBuf,
    },
    /// List images of a node
    #[command(visible_aliases = ["l", "ls"])]
    List,
    /// Pull an image on nodes
    #[command(visible_alias = "p")]
    Pull {
        /// The image
        image: String,
    },
    /// Remove an image from nodes
    #[command(visible_alias = "rm")]
    Remove {
        /// The image, by name or digest
        image: String,
    },
    /// List the images a Kubernetes cluster needs
    #[command(name = "k8s-bundle", visible_alias = "default")]
    K8sBundle(Bundle),
    /// List the images of the operating system: installer and what it is made of
    #[command(name = "talos-bundle")]
    TalosBundle {
        /// Version of the operating system
        #[arg(value_name = "VERSION", default_value_t = crate::defaults::VERSION.to_owned())]
        talos_version: String,
        /// The catalog of extensions too
        #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
        extensions: bool,
        /// The catalog of overlays too
        #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
        overlays: bool,
    },
}

/// `image cache-create`
#[derive(Debug, Args)]
pub struct CacheCreate {
    /// The images, comma separated or repeated
    #[arg(long, value_delimiter = ',')]
    pub images: Vec<String>,
    /// Folder of the cache
    #[arg(long, value_name = "PATH")]
    pub image_cache_path: PathBuf,
    /// Folder in which layers are kept, so that other caches need not fetch them again
    #[arg(long, value_name = "PATH")]
    pub image_layer_cache_path: Option<PathBuf>,
    /// Platforms of which images are copied
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64")]
    pub platform: Vec<String>,
    /// How the folder is laid out: an OCI layout, or flat, as the files of a registry
    #[arg(long, default_value = "oci")]
    pub layout: CacheLayout,
    /// The signatures of images by cosign too
    #[arg(long, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub cosign_signatures: bool,
    /// Add to a folder that is not empty
    #[arg(long)]
    pub force: bool,
    /// Ask registries without TLS first
    #[arg(long)]
    pub insecure: bool,
}

/// How a cache of images is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CacheLayout {
    /// An OCI image layout.
    Oci,
    /// A file for each blob and manifest, by the names a registry is asked for.
    Flat,
}

/// `image cache-serve`
#[derive(Debug, Args)]
pub struct CacheServe {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:3172")]
    pub address: String,
    /// Folder of the cache
    #[arg(long, value_name = "PATH")]
    pub image_cache_path: PathBuf,
    /// Registries to stand in for, in the patch that is printed
    #[arg(long, value_delimiter = ',', default_value = "docker.io,ghcr.io,registry.k8s.io")]
    pub mirror: Vec<String>,
    /// Certificate to serve with; without one there is no TLS
    #[arg(long, value_name = "PATH")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "PATH")]
    pub tls_key_file: Option<PathBuf>,
}

/// Versions of the images of a Kubernetes cluster; each with or without `v`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// Version of Kubernetes
    #[arg(long, value_name = "VERSION", default_value_t = crate::defaults::KUBERNETES_VERSION.to_owned())]
    pub k8s_version: String,
    /// Version of CoreDNS, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub coredns_version: Option<String>,
    /// Version of etcd, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub etcd_version: Option<String>,
    /// Version of flannel, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub flannel_version: Option<String>,
    /// Version of kube-network-policies, instead of this release's
    #[arg(long, value_name = "VERSION")]
    pub kube_network_policies_version: Option<String>,
}
