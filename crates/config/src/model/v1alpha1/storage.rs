//! v1alpha1::storage

use pki::Secret;

use crate::schema::macros::model;

model! {
    /// Disk partition.
    pub struct DiskPartition: "v1alpha1.DiskPartition" {
        /// Size.
        size: Option<i64> = "size";
        /// Mountpoint.
        mountpoint: Option<String> = "mountpoint";
    }

    /// Encryption config.
    pub struct EncryptionConfig: "v1alpha1.EncryptionConfig" {
        /// Provider.
        provider: Option<String> = "provider";
        /// Keys.
        keys: Vec<EncryptionKey> = "keys";
        /// Cipher.
        cipher: Option<String> = "cipher".one_of(&["aes-xts-plain64", "xchacha12,aes-adiantum-plain64", "xchacha20,aes-adiantum-plain64"]);
        /// Key size.
        key_size: Option<i64> = "keySize";
        /// Block size.
        block_size: Option<i64> = "blockSize";
        /// Options.
        options: Vec<String> = "options".one_of(&["no_read_workqueue", "no_write_workqueue", "same_cpu_crypt"]);
    }

    /// Encryption key.
    pub struct EncryptionKey: "v1alpha1.EncryptionKey" {
        /// Static.
        static_: Option<EncryptionKeyStatic> = "static";
        /// Node id.
        node_id: Option<EncryptionKeyNodeID> = "nodeID";
        /// Kms.
        kms: Option<EncryptionKeyKMS> = "kms";
        /// Slot.
        slot: Option<i64> = "slot";
        /// Tpm.
        tpm: Option<EncryptionKeyTPM> = "tpm";
    }

    /// Encryption key kms.
    pub struct EncryptionKeyKMS: "v1alpha1.EncryptionKeyKMS" {
        /// Endpoint.
        endpoint: Option<String> = "endpoint";
    }

    /// Encryption key node id.
    pub struct EncryptionKeyNodeID: "v1alpha1.EncryptionKeyNodeID" {
    }

    /// Encryption key static.
    pub struct EncryptionKeyStatic: "v1alpha1.EncryptionKeyStatic" {
        /// Passphrase.
        passphrase: Option<Secret> = "passphrase";
    }

    /// Encryption key tpm.
    pub struct EncryptionKeyTPM: "v1alpha1.EncryptionKeyTPM" {
        /// Check secureboot status on enroll.
        check_secureboot_status_on_enroll: Option<bool> = "checkSecurebootStatusOnEnroll";
    }

    /// Install config.
    pub struct InstallConfig: "v1alpha1.InstallConfig" {
        /// Disk.
        disk: Option<String> = "disk";
        /// Disk selector.
        disk_selector: Option<InstallDiskSelector> = "diskSelector";
        /// Extra kernel args.
        extra_kernel_args: Vec<String> = "extraKernelArgs".deprecated("use an image whose schematic has the arguments");
        /// Image.
        image: Option<String> = "image";
        /// Extensions.
        extensions: Vec<InstallExtensionConfig> = "extensions".deprecated("use an image whose schematic has the extensions");
        /// Wipe.
        wipe: Option<bool> = "wipe";
        /// Legacy biossupport.
        legacy_bios_support: Option<bool> = "legacyBIOSSupport";
        /// Grub use ukicmdline.
        grub_use_uki_cmdline: Option<bool> = "grubUseUKICmdline";
    }

    /// Install disk selector.
    pub struct InstallDiskSelector: "v1alpha1.InstallDiskSelector" {
        /// Size.
        size: Option<String> = "size";
        /// Name.
        name: Option<String> = "name";
        /// Model.
        model: Option<String> = "model";
        /// Serial.
        serial: Option<String> = "serial";
        /// Modalias.
        modalias: Option<String> = "modalias";
        /// Uuid.
        uuid: Option<String> = "uuid";
        /// Wwid.
        wwid: Option<String> = "wwid";
        /// Type.
        kind: Option<String> = "type".one_of(&["ssd", "hdd", "nvme", "sd"]);
        /// Bus path.
        bus_path: Option<String> = "busPath";
    }

    /// Install extension config.
    pub struct InstallExtensionConfig: "v1alpha1.InstallExtensionConfig" {
        /// Image.
        image: Option<String> = "image";
    }

    /// Machine disk.
    pub struct MachineDisk: "v1alpha1.MachineDisk" {
        /// Device.
        device: Option<String> = "device";
        /// Partitions.
        partitions: Vec<DiskPartition> = "partitions";
    }

    /// System disk encryption config.
    pub struct SystemDiskEncryptionConfig: "v1alpha1.SystemDiskEncryptionConfig" {
        /// State.
        state: Option<EncryptionConfig> = "state";
        /// Ephemeral.
        ephemeral: Option<EncryptionConfig> = "ephemeral";
    }
}
