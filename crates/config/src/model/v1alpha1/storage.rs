//! Installation, and the long-standing storage sections of a machine.

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// A partition.
    pub struct DiskPartition: "v1alpha1.DiskPartition" {
        /// Size, such as `100GB`; the rest of the disk if not given.
        size: Option<String> = "size".check(Format::Size);
        /// Where it is mounted.
        mountpoint: Option<String> = "mountpoint";
    }

    /// Encryption of a volume.
    pub struct EncryptionConfig: "v1alpha1.EncryptionConfig" {
        /// Kind of encryption.
        provider: Option<String> = "provider";
        /// Keys, any of which opens the volume.
        keys: Vec<EncryptionKey> = "keys";
        /// Cipher of the encryption.
        cipher: Option<String> = "cipher".one_of(&["aes-xts-plain64", "xchacha12,aes-adiantum-plain64", "xchacha20,aes-adiantum-plain64"]);
        /// Size of the encryption key in bits.
        key_size: Option<i64> = "keySize";
        /// Size of encryption blocks in bytes.
        block_size: Option<i64> = "blockSize";
        /// Options.
        options: Vec<String> = "options".one_of(&["no_read_workqueue", "no_write_workqueue", "same_cpu_crypt"]);
    }

    /// A key of an encrypted volume; one of its sources is set.
    pub struct EncryptionKey: "v1alpha1.EncryptionKey" {
        /// A passphrase.
        static_: Option<EncryptionKeyStatic> = "static";
        /// Key made from the machine's id: keeps honest people out, no more.
        node_id: Option<EncryptionKeyNodeID> = "nodeID";
        /// Key kept by a key management service.
        kms: Option<EncryptionKeyKMS> = "kms";
        /// Slot of the key, from 0.
        slot: Option<i64> = "slot";
        /// Key sealed by the TPM.
        tpm: Option<EncryptionKeyTPM> = "tpm";
    }

    /// A key kept by a key management service.
    pub struct EncryptionKeyKMS: "v1alpha1.EncryptionKeyKMS" {
        /// URL of the key management service.
        endpoint: Option<String> = "endpoint";
    }

    /// A key made from the machine's id.
    pub struct EncryptionKeyNodeID: "v1alpha1.EncryptionKeyNodeID" {
    }

    /// A passphrase.
    pub struct EncryptionKeyStatic: "v1alpha1.EncryptionKeyStatic" {
        /// Passphrase.
        passphrase: Option<Secret> = "passphrase";
    }

    /// A key sealed by the TPM.
    pub struct EncryptionKeyTPM: "v1alpha1.EncryptionKeyTPM" {
        /// Enrol the key only if secure boot is on.
        check_secureboot_status_on_enroll: Option<bool> = "checkSecurebootStatusOnEnroll";
    }

    /// How the system is installed to disk.
    pub struct InstallConfig: "v1alpha1.InstallConfig" {
        /// Disk to install to.
        disk: Option<String> = "disk";
        /// Chooses the disk by its properties.
        disk_selector: Option<InstallDiskSelector> = "diskSelector";
        /// Additional kernel arguments.
        extra_kernel_args: Vec<String> = "extraKernelArgs".deprecated("use an image whose schematic has the arguments");
        /// Image that installs the system.
        image: Option<String> = "image";
        /// System extensions to install.
        extensions: Vec<InstallExtensionConfig> = "extensions".deprecated("use an image whose schematic has the extensions");
        /// Wipe the whole disk first, not only the partitions that are made.
        wipe: Option<bool> = "wipe";
        /// Mark the disk as bootable for old firmware.
        legacy_bios_support: Option<bool> = "legacyBIOSSupport";
        /// GRUB takes the kernel arguments of the image.
        grub_use_uki_cmdline: Option<bool> = "grubUseUKICmdline";
    }

    /// Chooses the disk to install to.
    pub struct InstallDiskSelector: "v1alpha1.InstallDiskSelector" {
        /// Size, with a comparison: `>= 10GB`.
        size: Option<String> = "size";
        /// Name.
        name: Option<String> = "name";
        /// Model of the disk.
        model: Option<String> = "model";
        /// Serial number.
        serial: Option<String> = "serial";
        /// Kernel's alias of the device.
        modalias: Option<String> = "modalias";
        /// UUID.
        uuid: Option<String> = "uuid";
        /// World-wide id.
        wwid: Option<String> = "wwid";
        /// Kind of disk.
        kind: Option<String> = "type".one_of(&["ssd", "hdd", "nvme", "sd"]);
        /// Path of the device on its bus; `*` stands for anything.
        bus_path: Option<String> = "busPath";
    }

    /// A system extension.
    pub struct InstallExtensionConfig: "v1alpha1.InstallExtensionConfig" {
        /// Container image.
        image: Option<String> = "image";
    }

    /// A disk to partition.
    pub struct MachineDisk: "v1alpha1.MachineDisk" {
        /// Path of the device.
        device: Option<String> = "device";
        /// Partitions of the disk.
        partitions: Vec<DiskPartition> = "partitions";
    }

    /// Encryption of the system's volumes.
    pub struct SystemDiskEncryptionConfig: "v1alpha1.SystemDiskEncryptionConfig" {
        /// Encryption of the STATE volume.
        state: Option<EncryptionConfig> = "state";
        /// Encryption of the EPHEMERAL volume.
        ephemeral: Option<EncryptionConfig> = "ephemeral";
    }
}
