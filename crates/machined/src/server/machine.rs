//! `machine.MachineService`: each call handed to the file of its group. What is not listed answers `Unimplemented`.

use api::proto::common::Data;
use api::proto::machine as proto;
use api::proto::machine::machine_service_server::MachineService;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, async_trait};

use super::{
    capture, configuration, containers, counters, etcd, events, files, hardware, images, logs, netstat, power,
    services, system,
};
use crate::node::Node;

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = Result<Response<BoxStream<T>>, Status>;

/// The service.
pub struct Machine {
    node: Node,
    turns: etcd::Turns,
}

impl Machine {
    /// The machine API of a node.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            turns: etcd::Turns::default(),
        }
    }
}

#[async_trait]
impl MachineService for Machine {
    async fn version(&self, _: Request<()>) -> Answer<proto::VersionResponse> {
        Ok(Response::new(system::version(&self.node)))
    }

    async fn hostname(&self, _: Request<()>) -> Answer<proto::HostnameResponse> {
        Ok(Response::new(system::hostname()))
    }

    async fn dmesg(&self, request: Request<proto::DmesgRequest>) -> Stream<Data> {
        system::dmesg(request.into_inner())
    }

    async fn memory(&self, _: Request<()>) -> Answer<proto::MemoryResponse> {
        system::memory().map(Response::new).map_err(super::internal)
    }

    async fn load_avg(&self, _: Request<()>) -> Answer<proto::LoadAvgResponse> {
        system::load_average().map(Response::new).map_err(super::internal)
    }

    async fn mounts(&self, _: Request<()>) -> Answer<proto::MountsResponse> {
        system::mounts().map(Response::new).map_err(super::internal)
    }

    async fn processes(&self, _: Request<()>) -> Answer<proto::ProcessesResponse> {
        system::processes().map(Response::new).map_err(super::internal)
    }

    async fn list(&self, request: Request<proto::ListRequest>) -> Stream<proto::FileInfo> {
        files::list(request.into_inner())
    }

    async fn disk_usage(&self, request: Request<proto::DiskUsageRequest>) -> Stream<proto::DiskUsageInfo> {
        files::usage(request.into_inner())
    }

    async fn copy(&self, request: Request<proto::CopyRequest>) -> Stream<Data> {
        files::copy(request.get_ref())
    }

    async fn read(&self, request: Request<proto::ReadRequest>) -> Stream<Data> {
        files::read(request.get_ref())
    }

    async fn system_stat(&self, _: Request<()>) -> Answer<proto::SystemStatResponse> {
        counters::system().map(Response::new).map_err(super::internal)
    }

    async fn cpu_info(&self, _: Request<()>) -> Answer<proto::CpuInfoResponse> {
        counters::processors().map(Response::new).map_err(super::internal)
    }

    async fn cpu_freq_stats(&self, _: Request<()>) -> Answer<proto::CpuFreqStatsResponse> {
        Ok(Response::new(counters::frequencies()))
    }

    async fn network_device_stats(&self, _: Request<()>) -> Answer<proto::NetworkDeviceStatsResponse> {
        counters::network_devices().map(Response::new).map_err(super::internal)
    }

    async fn disk_stats(&self, _: Request<()>) -> Answer<proto::DiskStatsResponse> {
        counters::disks().map(Response::new).map_err(super::internal)
    }

    async fn netstat(&self, request: Request<proto::NetstatRequest>) -> Answer<proto::NetstatResponse> {
        netstat::netstat(&self.node, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn packet_capture(&self, request: Request<proto::PacketCaptureRequest>) -> Stream<Data> {
        capture::capture(&request.into_inner())
    }

    async fn meta_write(&self, _: Request<proto::MetaWriteRequest>) -> Answer<proto::MetaWriteResponse> {
        Err(hardware::no_meta())
    }

    async fn meta_delete(&self, _: Request<proto::MetaDeleteRequest>) -> Answer<proto::MetaDeleteResponse> {
        Err(hardware::no_meta())
    }

    async fn upgrade(&self, _: Request<proto::UpgradeRequest>) -> Answer<proto::UpgradeResponse> {
        Err(hardware::no_installation())
    }

    async fn rollback(&self, _: Request<proto::RollbackRequest>) -> Answer<proto::RollbackResponse> {
        Err(hardware::no_installation())
    }

    async fn service_list(&self, _: Request<()>) -> Answer<proto::ServiceListResponse> {
        Ok(Response::new(services::list(&self.node)))
    }

    async fn service_start(&self, request: Request<proto::ServiceStartRequest>) -> Answer<proto::ServiceStartResponse> {
        services::start(&self.node, &request.into_inner().id).map(Response::new)
    }

    async fn service_stop(&self, request: Request<proto::ServiceStopRequest>) -> Answer<proto::ServiceStopResponse> {
        services::stop(&self.node, &request.into_inner().id).map(Response::new)
    }

    async fn service_restart(
        &self,
        request: Request<proto::ServiceRestartRequest>,
    ) -> Answer<proto::ServiceRestartResponse> {
        services::restart(&self.node, &request.into_inner().id).map(Response::new)
    }

    async fn logs(&self, request: Request<proto::LogsRequest>) -> Stream<Data> {
        logs::logs(&self.node, request.into_inner()).await
    }

    async fn logs_containers(&self, _: Request<()>) -> Answer<proto::LogsContainersResponse> {
        Ok(Response::new(logs::services(&self.node)))
    }

    async fn events(&self, request: Request<proto::EventsRequest>) -> Stream<proto::Event> {
        events::events(&self.node, request.into_inner())
    }

    async fn containers(&self, request: Request<proto::ContainersRequest>) -> Answer<proto::ContainersResponse> {
        containers::list(&self.node, &request.into_inner())
            .await
            .map(Response::new)
    }

    async fn stats(&self, request: Request<proto::StatsRequest>) -> Answer<proto::StatsResponse> {
        containers::stats(&self.node, request.get_ref())
            .await
            .map(Response::new)
    }

    async fn restart(&self, request: Request<proto::RestartRequest>) -> Answer<proto::RestartResponse> {
        containers::restart(&self.node, request.get_ref())
            .await
            .map(Response::new)
    }

    async fn image_pull(&self, request: Request<proto::ImagePullRequest>) -> Answer<proto::ImagePullResponse> {
        images::pull_by_namespace(&self.node, request.get_ref())
            .await
            .map(Response::new)
    }

    async fn image_list(&self, request: Request<proto::ImageListRequest>) -> Stream<proto::ImageListResponse> {
        images::list_by_namespace(&self.node, request.into_inner()).await
    }

    async fn apply_configuration(
        &self,
        request: Request<proto::ApplyConfigurationRequest>,
    ) -> Answer<proto::ApplyConfigurationResponse> {
        configuration::apply(&self.node, request).await.map(Response::new)
    }

    async fn generate_client_configuration(
        &self,
        request: Request<proto::GenerateClientConfigurationRequest>,
    ) -> Answer<proto::GenerateClientConfigurationResponse> {
        configuration::generate_client(&self.node, request.into_inner()).map(Response::new)
    }

    async fn bootstrap(&self, request: Request<proto::BootstrapRequest>) -> Answer<proto::BootstrapResponse> {
        etcd::bootstrap::bootstrap(&self.node, &self.turns, &request.into_inner())
            .await
            .map(Response::new)
    }

    async fn kubeconfig(&self, _: Request<()>) -> Stream<Data> {
        configuration::kubeconfig(&self.node)
    }

    async fn etcd_member_list(
        &self,
        request: Request<proto::EtcdMemberListRequest>,
    ) -> Answer<proto::EtcdMemberListResponse> {
        etcd::members(&self.node, request.into_inner().query_local)
            .await
            .map(Response::new)
    }

    async fn etcd_status(&self, _: Request<()>) -> Answer<proto::EtcdStatusResponse> {
        etcd::status(&self.node).await.map(Response::new)
    }

    async fn etcd_alarm_list(&self, _: Request<()>) -> Answer<proto::EtcdAlarmListResponse> {
        etcd::upkeep::alarms(&self.node).await.map(Response::new)
    }

    async fn etcd_alarm_disarm(&self, _: Request<()>) -> Answer<proto::EtcdAlarmDisarmResponse> {
        etcd::upkeep::disarm(&self.node).await.map(Response::new)
    }

    async fn etcd_defragment(&self, _: Request<()>) -> Answer<proto::EtcdDefragmentResponse> {
        etcd::upkeep::defragment(&self.node, &self.turns)
            .await
            .map(Response::new)
    }

    async fn etcd_downgrade_validate(
        &self,
        request: Request<proto::EtcdDowngradeValidateRequest>,
    ) -> Answer<proto::EtcdDowngradeValidateResponse> {
        etcd::upkeep::validate_downgrade(&self.node, &request.into_inner().version)
            .await
            .map(Response::new)
    }

    async fn etcd_downgrade_enable(
        &self,
        request: Request<proto::EtcdDowngradeEnableRequest>,
    ) -> Answer<proto::EtcdDowngradeEnableResponse> {
        etcd::upkeep::enable_downgrade(&self.node, &request.into_inner().version)
            .await
            .map(Response::new)
    }

    async fn etcd_downgrade_cancel(&self, _: Request<()>) -> Answer<proto::EtcdDowngradeCancelResponse> {
        etcd::upkeep::cancel_downgrade(&self.node).await.map(Response::new)
    }

    async fn etcd_forfeit_leadership(
        &self,
        _: Request<proto::EtcdForfeitLeadershipRequest>,
    ) -> Answer<proto::EtcdForfeitLeadershipResponse> {
        etcd::membership::forfeit(&self.node).await.map(Response::new)
    }

    async fn etcd_leave_cluster(
        &self,
        _: Request<proto::EtcdLeaveClusterRequest>,
    ) -> Answer<proto::EtcdLeaveClusterResponse> {
        etcd::membership::leave(&self.node, &self.turns)
            .await
            .map(Response::new)
    }

    async fn etcd_remove_member_by_id(
        &self,
        request: Request<proto::EtcdRemoveMemberByIdRequest>,
    ) -> Answer<proto::EtcdRemoveMemberByIdResponse> {
        etcd::membership::remove(&self.node, request.into_inner().member_id)
            .await
            .map(Response::new)
    }

    async fn etcd_snapshot(&self, _: Request<proto::EtcdSnapshotRequest>) -> Stream<Data> {
        etcd::snapshot::save(&self.node).await
    }

    async fn etcd_recover(&self, request: Request<tonic::Streaming<Data>>) -> Answer<proto::EtcdRecoverResponse> {
        etcd::snapshot::upload(&self.node, &self.turns, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn reboot(&self, request: Request<proto::RebootRequest>) -> Answer<proto::RebootResponse> {
        power::reboot(&self.node, &request).map(Response::new)
    }

    async fn shutdown(&self, request: Request<proto::ShutdownRequest>) -> Answer<proto::ShutdownResponse> {
        power::shutdown(&self.node, &request).map(Response::new)
    }

    async fn reset(&self, request: Request<proto::ResetRequest>) -> Answer<proto::ResetResponse> {
        power::reset(&self.node, &request).map(Response::new)
    }
}
