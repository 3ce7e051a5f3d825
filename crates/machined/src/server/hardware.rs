//! Calls about what a machine has and a container does not: disks, the META partition, an installation. Each says so,
//! and where the thing is to be looked for instead.

use api::proto::machine as proto;
use api::proto::machine::lifecycle_service_server::LifecycleService;
use api::proto::machine::lvm_service_server::LvmService;
use api::proto::machine::md_service_server::MdService;
use api::proto::storage::storage_service_server::StorageService;
use api::proto::storage::{BlockDeviceWipeRequest, BlockDeviceWipeResponse, DisksResponse};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, async_trait};

/// Clients compare this text.
const IN_A_CONTAINER: &str = "method is not supported in container mode";

/// META is a partition; what a container is told comes from its environment.
pub fn no_meta() -> Status {
    Status::failed_precondition(format!(
        "{IN_A_CONTAINER}: META is a partition of the system disk; give a node in a container what it is to know in its machine configuration"
    ))
}

/// Nothing is installed, so nothing can be upgraded or rolled back.
pub fn no_installation() -> Status {
    Status::failed_precondition(format!(
        "{IN_A_CONTAINER}: nothing is installed here; start the node from another image to change its version"
    ))
}

fn no_disks(what: &str) -> Status {
    Status::unimplemented(format!(
        "{IN_A_CONTAINER}: {what} belong to the host; see to them there (`mounts` shows what a node has of them)"
    ))
}

/// The services about hardware.
pub struct Hardware;

#[async_trait]
impl StorageService for Hardware {
    async fn disks(&self, _: Request<()>) -> Result<Response<DisksResponse>, Status> {
        Err(no_disks("disks"))
    }

    async fn block_device_wipe(
        &self,
        _: Request<BlockDeviceWipeRequest>,
    ) -> Result<Response<BlockDeviceWipeResponse>, Status> {
        Err(no_disks("disks"))
    }
}

#[async_trait]
impl LvmService for Hardware {
    async fn logical_volume_remove(
        &self,
        _: Request<proto::LvmServiceLogicalVolumeRemoveRequest>,
    ) -> Result<Response<()>, Status> {
        Err(no_disks("logical volumes"))
    }

    async fn volume_group_remove(
        &self,
        _: Request<proto::LvmServiceVolumeGroupRemoveRequest>,
    ) -> Result<Response<()>, Status> {
        Err(no_disks("volume groups"))
    }

    async fn physical_volume_remove(
        &self,
        _: Request<proto::LvmServicePhysicalVolumeRemoveRequest>,
    ) -> Result<Response<()>, Status> {
        Err(no_disks("physical volumes"))
    }
}

#[async_trait]
impl MdService for Hardware {
    async fn destroy(&self, _: Request<proto::MdDestroyRequest>) -> Result<Response<()>, Status> {
        Err(no_disks("disk arrays"))
    }
}

type Progress<T> = Result<Response<BoxStream<T>>, Status>;

#[async_trait]
impl LifecycleService for Hardware {
    async fn install(
        &self,
        _: Request<proto::LifecycleServiceInstallRequest>,
    ) -> Progress<proto::LifecycleServiceInstallResponse> {
        Err(no_installation())
    }

    async fn upgrade(
        &self,
        _: Request<proto::LifecycleServiceUpgradeRequest>,
    ) -> Progress<proto::LifecycleServiceUpgradeResponse> {
        Err(no_installation())
    }
}
