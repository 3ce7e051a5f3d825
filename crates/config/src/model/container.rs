//! Containers that run beside Kubernetes.

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Linux capabilities of a container.
    pub struct ContainerCapabilities: "container.ContainerCapabilities" {
        /// Capabilities to add.
        add: Vec<String> = "add";
        /// Capabilities to take away.
        drop: Vec<String> = "drop";
    }

    /// A container that runs beside Kubernetes.
    pub struct ContainerConfig: "container.ContainerConfigV1Alpha1", kind "ContainerConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Container image.
        image: Option<String> = "image";
        /// Command that is run.
        entrypoint: Vec<String> = "entrypoint";
        /// Arguments of the command.
        args: Vec<String> = "args";
        /// Folder it starts in.
        working_dir: Option<String> = "workingDir";
        /// User and group it runs as.
        run_as: Option<ContainerRunAs> = "runAs";
        /// Environment variables, `NAME=value`.
        environment: Vec<String> = "environment";
        /// What is mounted into the container.
        mounts: Vec<ContainerMount> = "mounts";
        /// How it is confined.
        security: Option<ContainerSecurity> = "security";
        /// Network settings.
        network: Option<ContainerNetwork> = "network";
        /// What it may use of processor and memory.
        resources: Option<ContainerResources> = "resources";
        /// What must be there first.
        depends_on: Option<ContainerDependsOn> = "dependsOn";
    }

    /// What must be there before a container starts.
    pub struct ContainerDependsOn: "container.ContainerDependsOn" {
        /// Paths that must exist.
        paths: Vec<String> = "paths";
        /// Parts of the network that must be ready.
        networks: Vec<String> = "networks".one_of(&["addresses", "connectivity", "hostname", "etcfiles"]);
        /// The clock.
        time: Option<bool> = "time";
        /// Containers that must run first.
        containers: Vec<String> = "containers";
    }

    /// Something mounted into a container; one of its fields is set.
    pub struct ContainerMount: "container.ContainerMount" {
        /// A user volume.
        user_volume: Option<UserVolumeMount> = "userVolume";
        /// A file system in memory.
        tmpfs: Option<TmpfsMount> = "tmpfs";
        /// Folder of the machine.
        host_path: Option<HostPathMount> = "hostPath";
    }

    /// Network of a container.
    pub struct ContainerNetwork: "container.ContainerNetwork" {
        /// Which network the container is in.
        mode: Option<String> = "mode";
    }

    /// The most a container may use.
    pub struct ContainerResourceLimits: "container.ContainerResourceLimits" {
        /// Limit of processor time.
        cpu: Option<String> = "cpu";
        /// Limit of memory.
        memory: Option<String> = "memory";
    }

    /// What a container may use.
    pub struct ContainerResources: "container.ContainerResources" {
        /// The most it may use.
        limits: Option<ContainerResourceLimits> = "limits";
    }

    /// User and group of a container.
    pub struct ContainerRunAs: "container.ContainerRunAs" {
        /// User id.
        uid: Option<i64> = "uid";
        /// Group id.
        gid: Option<i64> = "gid";
    }

    /// How a container is confined.
    pub struct ContainerSecurity: "container.ContainerSecurity" {
        /// How closely it is confined.
        profile: Option<String> = "profile";
        /// Linux capabilities.
        capabilities: Option<ContainerCapabilities> = "capabilities";
    }

    /// A folder of the machine mounted into a container.
    pub struct HostPathMount: "container.HostPathMount" {
        /// Folder of the machine.
        source: Option<String> = "source";
        /// Where it appears.
        destination: Option<String> = "destination";
        /// Options.
        options: Vec<String> = "options";
    }

    /// A file system in memory mounted into a container.
    pub struct TmpfsMount: "container.TmpfsMount" {
        /// Where it appears.
        destination: Option<String> = "destination";
        /// Size.
        size: Option<String> = "size".check(Format::Size);
        /// Options.
        options: Vec<String> = "options";
    }

    /// A user volume mounted into a container.
    pub struct UserVolumeMount: "container.UserVolumeMount" {
        /// Name.
        name: Option<String> = "name";
        /// Where it appears.
        destination: Option<String> = "destination";
        /// Options.
        options: Vec<String> = "options".one_of(&["ro", "rw", "noexec", "nosuid", "nodev", "noatime", "rbind", "rshared"]);
    }
}
