//! container

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Container capabilities.
    pub struct ContainerCapabilities: "container.ContainerCapabilities" {
        /// Add.
        add: Vec<String> = "add";
        /// Drop.
        drop: Vec<String> = "drop";
    }

    /// Container config.
    pub struct ContainerConfig: "container.ContainerConfigV1Alpha1", kind "ContainerConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Image.
        image: Option<String> = "image";
        /// Entrypoint.
        entrypoint: Vec<String> = "entrypoint";
        /// Args.
        args: Vec<String> = "args";
        /// Working dir.
        working_dir: Option<String> = "workingDir";
        /// Run as.
        run_as: Option<ContainerRunAs> = "runAs";
        /// Environment.
        environment: Vec<String> = "environment";
        /// Mounts.
        mounts: Vec<ContainerMount> = "mounts";
        /// Security.
        security: Option<ContainerSecurity> = "security";
        /// Network.
        network: Option<ContainerNetwork> = "network";
        /// Resources.
        resources: Option<ContainerResources> = "resources";
        /// Depends on.
        depends_on: Option<ContainerDependsOn> = "dependsOn";
    }

    /// Container depends on.
    pub struct ContainerDependsOn: "container.ContainerDependsOn" {
        /// Paths.
        paths: Vec<String> = "paths";
        /// Networks.
        networks: Vec<String> = "networks".one_of(&["addresses", "connectivity", "hostname", "etcfiles"]);
        /// Time.
        time: Option<bool> = "time";
        /// Containers.
        containers: Vec<String> = "containers";
    }

    /// Container mount.
    pub struct ContainerMount: "container.ContainerMount" {
        /// User volume.
        user_volume: Option<UserVolumeMount> = "userVolume";
        /// Tmpfs.
        tmpfs: Option<TmpfsMount> = "tmpfs";
        /// Host path.
        host_path: Option<HostPathMount> = "hostPath";
    }

    /// Container network.
    pub struct ContainerNetwork: "container.ContainerNetwork" {
        /// Mode.
        mode: Option<String> = "mode";
    }

    /// Container resource limits.
    pub struct ContainerResourceLimits: "container.ContainerResourceLimits" {
        /// Cpu.
        cpu: Option<String> = "cpu";
        /// Memory.
        memory: Option<String> = "memory";
    }

    /// Container resources.
    pub struct ContainerResources: "container.ContainerResources" {
        /// Limits.
        limits: Option<ContainerResourceLimits> = "limits";
    }

    /// Container run as.
    pub struct ContainerRunAs: "container.ContainerRunAs" {
        /// Uid.
        uid: Option<i64> = "uid";
        /// Gid.
        gid: Option<i64> = "gid";
    }

    /// Container security.
    pub struct ContainerSecurity: "container.ContainerSecurity" {
        /// Profile.
        profile: Option<String> = "profile";
        /// Capabilities.
        capabilities: Option<ContainerCapabilities> = "capabilities";
    }

    /// Host path mount.
    pub struct HostPathMount: "container.HostPathMount" {
        /// Source.
        source: Option<String> = "source";
        /// Destination.
        destination: Option<String> = "destination";
        /// Options.
        options: Vec<String> = "options";
    }

    /// Tmpfs mount.
    pub struct TmpfsMount: "container.TmpfsMount" {
        /// Destination.
        destination: Option<String> = "destination";
        /// Size.
        size: Option<String> = "size".check(Format::Size);
        /// Options.
        options: Vec<String> = "options";
    }

    /// User volume mount.
    pub struct UserVolumeMount: "container.UserVolumeMount" {
        /// Name.
        name: Option<String> = "name";
        /// Destination.
        destination: Option<String> = "destination";
        /// Options.
        options: Vec<String> = "options".one_of(&["ro", "rw", "noexec", "nosuid", "nodev", "noatime", "rbind", "rshared"]);
    }
}
