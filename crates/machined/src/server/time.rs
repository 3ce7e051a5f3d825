//! The node's clock. In a container it is the host's, so there is no time server to compare it with.

use std::time::SystemTime;

use api::proto::time as proto;
use api::proto::time::time_service_server::TimeService;
use api::reply::Reply;
use tonic::{Request, Response, Status, async_trait};

/// The service.
pub struct Time;

#[async_trait]
impl TimeService for Time {
    async fn time(&self, _: Request<()>) -> Result<Response<proto::TimeResponse>, Status> {
        let now = SystemTime::now();
        Ok(Response::new(proto::TimeResponse::of(proto::Time {
            server: "host".to_owned(),
            localtime: Some(now.into()),
            remotetime: Some(now.into()),
            ..Default::default()
        })))
    }
}
