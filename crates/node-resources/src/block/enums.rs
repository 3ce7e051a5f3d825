//! What volumes and file systems are called.

use resource::ProtoEnum;

/// Where a volume is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum VolumePhase {
    #[default]
    #[value(0, "waiting")]
    Waiting,
    #[value(1, "failed")]
    Failed,
    #[value(2, "missing")]
    Missing,
    #[value(3, "located")]
    Located,
    #[value(4, "provisioned")]
    Provisioned,
    #[value(5, "prepared")]
    Prepared,
    #[value(6, "ready")]
    Ready,
    #[value(7, "closed")]
    Closed,
}

/// What a volume is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum VolumeType {
    #[default]
    #[value(0, "partition")]
    Partition,
    #[value(1, "disk")]
    Disk,
    #[value(2, "tmpfs")]
    Tmpfs,
    #[value(3, "directory")]
    Directory,
    #[value(4, "symlink")]
    Symlink,
    #[value(5, "overlay")]
    Overlay,
    #[value(6, "external")]
    External,
}

/// A kind of file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum FilesystemType {
    #[default]
    #[value(0, "none")]
    None,
    #[value(1, "xfs")]
    Xfs,
    #[value(2, "vfat")]
    Vfat,
    #[value(3, "ext4")]
    Ext4,
    #[value(4, "iso9660")]
    Iso9660,
    #[value(5, "swap")]
    Swap,
    #[value(6, "virtiofs")]
    Virtiofs,
    #[value(7, "btrfs")]
    Btrfs,
}

/// What encrypts a volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum EncryptionProviderType {
    #[default]
    #[value(0, "none")]
    None,
    #[value(1, "luks2")]
    Luks2,
}

/// Where the key of an encrypted volume comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum EncryptionKeyType {
    #[default]
    #[value(0, "static")]
    Static,
    #[value(1, "nodeID")]
    NodeId,
    #[value(2, "kms")]
    Kms,
    #[value(3, "tpm")]
    Tpm,
}

/// The type of a file system's parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ProtoEnum)]
pub enum FsParameterType {
    #[default]
    #[value(0, "string")]
    String,
    #[value(1, "boolean")]
    Boolean,
    #[value(2, "binary")]
    Binary,
}
