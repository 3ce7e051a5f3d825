//! How full a file system is.

use std::path::Path;

use api::proto::machine as proto;
use api::proto::machine::storage_service_server::{StorageService, StorageServiceServer};
use tonic::{Request, Response, Status, async_trait};

/// The service `machine.StorageService`.
pub fn server() -> StorageServiceServer<impl StorageService> {
    StorageServiceServer::new(Storage)
}

struct Storage;

#[async_trait]
impl StorageService for Storage {
    async fn statfs(
        &self,
        request: Request<proto::StorageServiceStatfsRequest>,
    ) -> Result<Response<proto::StorageServiceStatfsResponse>, Status> {
        let path = request.into_inner().path;
        if !Path::new(&path).is_absolute() {
            let text = format!("the path {path:?} is not absolute: write it from / on");
            return Err(Status::invalid_argument(text));
        }
        // A file system that does not answer must not hold up the runtime.
        let usage = tokio::task::spawn_blocking(move || sys::files::usage(path)).await;
        let usage = usage.map_err(|e| super::internal(e.into()))?;
        let usage = usage.map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Status::not_found(e.to_string()),
            _ => Status::internal(e.to_string()),
        })?;
        Ok(Response::new(proto::StorageServiceStatfsResponse {
            size: usage.total,
            used: usage.total.saturating_sub(usage.free),
            available: usage.available,
            inodes: usage.inodes,
            inodes_used: usage.inodes.saturating_sub(usage.inodes_free),
            inodes_free: usage.inodes_free,
        }))
    }
}
