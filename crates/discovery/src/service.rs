//! The calls: fields checked, rates kept, then the [`Store`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use discovery_client::proto::server::cluster_server::Cluster;
use discovery_client::proto::server::{
    AffiliateDeleteRequest, AffiliateDeleteResponse, AffiliateUpdateRequest, AffiliateUpdateResponse, HelloRequest,
    HelloResponse, ListRequest, ListResponse, RedirectMessage, WatchRequest,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::caller::{self, Caller, Network};
use crate::limits;
use crate::metrics::{Call, Metrics};
use crate::rate::Rate;
use crate::state::Update;
use crate::store::{Error, Store};
use crate::time::Clock;
use crate::watch::WatchBody;

/// Answers calls.
#[derive(Clone, Debug)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    rate: Option<Mutex<Rate>>,
    rules: Rules,
}

/// The path of Watch, which [`Service::watch`] answers.
pub const WATCH: &str = "/sidero.discovery.server.Cluster/Watch";

/// What the person who runs the service decided.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Requests a second of one address; zero for any number.
    pub rate: u32,
    /// Requests at once of one address.
    pub burst: u32,
    /// Proxies that are believed when they name a client.
    pub trusted: Vec<Network>,
    /// Where clients are sent when they say hello.
    pub redirect: Option<String>,
}

impl Service {
    /// Puts it together.
    pub fn new(store: Arc<Store>, metrics: Arc<Metrics>, clock: Clock, rules: Rules) -> Service {
        let rate = Rate::new(rules.rate, rules.burst).map(Mutex::new);
        Service(Arc::new(Inner {
            store,
            metrics,
            clock,
            rate,
            rules,
        }))
    }

    /// What it serves.
    pub fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Takes a request from an address, unless there were too many.
    pub fn admit(&self, from: IpAddr) -> Result<(), Status> {
        let Some(rate) = &self.0.rate else { return Ok(()) };
        let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.admit(from, self.0.clock.uptime()) {
            return Ok(());
        }
        self.0.metrics.limited();
        Err(Status::resource_exhausted(format!(
            "{from} asks more than {} times a second: ask less often",
            self.0.rules.rate
        )))
    }

    /// Addresses whose rate is remembered.
    pub fn limited_addresses(&self) -> usize {
        let rate = self.0.rate.as_ref();
        rate.map_or(0, |rate| rate.lock().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// Forgets what has expired.
    pub fn collect(&self) {
        self.0.store.collect(self.0.clock.now());
        if let Some(rate) = &self.0.rate {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.forget(self.0.clock.uptime());
        }
    }

    /// The address of a caller, as proxies that are trusted tell it.
    pub fn address(&self, peer: IpAddr, headers: &http::HeaderMap) -> IpAddr {
        caller::address(peer, headers, &self.0.rules.trusted)
    }

    /// Does a call: admits it, answers it, counts it.
    fn answer<R, T>(
        &self,
        call: Call,
        request: Request<R>,
        answer: impl FnOnce(&Inner, IpAddr, Option<Caller>, R) -> Result<T, Status>,
    ) -> Result<Response<T>, Status> {
        let began = Instant::now();
        let (metadata, mut extensions, request) = request.into_parts();
        let caller = extensions.remove::<Caller>();
        let peer = caller.as_ref().map_or(IpAddr::from([0, 0, 0, 0]), Caller::peer);
        let from = match self.0.rules.trusted.is_empty() {
            true => peer,
            false => self.address(peer, &metadata.into_headers()),
        };
        let result = self.admit(from).and_then(|()| answer(&self.0, from, caller, request));
        let code = result.as_ref().err().map_or(tonic::Code::Ok, Status::code);
        self.0.metrics.called(call, code, began.elapsed());
        result.map(Response::new)
    }
}

impl Service {
    /// Answers Watch. Not by the generated code, which encodes a change for each watcher: a cluster may have thousands.
    pub async fn watch<B>(&self, request: http::Request<B>) -> http::Response<WatchBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let message = match read_message::<WatchRequest, _>(body).await {
            Ok(message) => message,
            Err(status) => return status.into_http(),
        };
        let metadata = MetadataMap::from_headers(parts.headers);
        let request = Request::from_parts(metadata, parts.extensions, message);
        let answer = self.answer(Call::Watch, request, |inner, _, caller, request| {
            check_cluster(&request.cluster_id)?;
            let subscription = inner.store.watch(&request.cluster_id)?;
            Ok(WatchBody::new(subscription, caller))
        });
        match answer {
            Ok(answer) => {
                let mut response = http::Response::new(answer.into_inner());
                let kind = http::HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
                response
            }
            Err(status) => status.into_http(),
        }
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloResponse>, Status> {
        self.answer(Call::Hello, request, |inner, from, _, request| {
            check_cluster(&request.cluster_id)?;
            inner.metrics.hello(&request.client_version);
            let redirect = inner.rules.redirect.clone();
            Ok(HelloResponse {
                redirect: redirect.map(|endpoint| RedirectMessage { endpoint }),
                client_ip: octets(from),
            })
        })
    }

    async fn affiliate_update(
        &self,
        request: Request<AffiliateUpdateRequest>,
    ) -> Result<Response<AffiliateUpdateResponse>, Status> {
        self.answer(Call::AffiliateUpdate, request, |inner, _, _, request| {
            let ttl = check_update(&request)?;
            let now = inner.clock.now();
            inner.store.update(&Update {
                cluster: &request.cluster_id,
                affiliate: &request.affiliate_id,
                data: request.affiliate_data.as_deref(),
                endpoints: request.affiliate_endpoints.iter().map(|bytes| &**bytes).collect(),
                now,
                expires: now.plus(ttl),
            })?;
            Ok(AffiliateUpdateResponse {})
        })
    }

    async fn affiliate_delete(
        &self,
        request: Request<AffiliateDeleteRequest>,
    ) -> Result<Response<AffiliateDeleteResponse>, Status> {
        self.answer(Call::AffiliateDelete, request, |inner, _, _, request| {
            check_cluster(&request.cluster_id)?;
            check_affiliate(&request.affiliate_id)?;
            inner.store.delete(&request.cluster_id, &request.affiliate_id)?;
            Ok(AffiliateDeleteResponse {})
        })
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.answer(Call::List, request, |inner, _, _, request| {
            check_cluster(&request.cluster_id)?;
            let affiliates = inner.store.list(&request.cluster_id);
            Ok(ListResponse { affiliates })
        })
    }
}

/// Reads the one message of a call.
async fn read_message<M, B>(body: B) -> Result<M, Status>
where
    M: Message + Default,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = tokio::time::timeout(limits::HANDSHAKE, Limited::new(body, limits::REQUEST).collect()).await;
    let late = |_| Status::deadline_exceeded("the message did not come in time");
    let too_long = |_| {
        Status::out_of_range(format!(
            "the message is cut off or has more than {} bytes",
            limits::REQUEST
        ))
    };
    let bytes = body.map_err(late)?.map_err(too_long)?.to_bytes();
    let (head, message) = bytes.split_first_chunk::<5>().unwrap_or((&[0; 5], &[]));
    if head[0] != 0 {
        return Err(Status::unimplemented("a compressed Watch: send it as it is"));
    }
    if usize::try_from(u32::from_be_bytes([head[1], head[2], head[3], head[4]])) != Ok(message.len()) {
        return Err(Status::internal("one message was expected"));
    }
    M::decode(message).map_err(|error| Status::internal(error.to_string()))
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        match error {
            Error::Busy => Status::unavailable(error.to_string()),
            Error::Refused(crate::state::Refused::TooLong) => Status::invalid_argument(error.to_string()),
            Error::Refused(_) | Error::Full | Error::Watchers => Status::resource_exhausted(error.to_string()),
        }
    }
}

fn octets(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    }
}

fn check_cluster(id: &str) -> Result<(), Status> {
    check_length("cluster_id", id.len(), 1..=limits::CLUSTER_ID)
}

fn check_affiliate(id: &str) -> Result<(), Status> {
    check_length("affiliate_id", id.len(), 1..=limits::AFFILIATE_ID)
}

fn check_length(field: &str, length: usize, within: std::ops::RangeInclusive<usize>) -> Result<(), Status> {
    if within.contains(&length) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "{field} has {length} bytes: it must have {} to {}",
        within.start(),
        within.end()
    )))
}

/// Checks the fields and gives the time to live.
fn check_update(request: &AffiliateUpdateRequest) -> Result<Duration, Status> {
    check_cluster(&request.cluster_id)?;
    check_affiliate(&request.affiliate_id)?;
    if let Some(data) = &request.affiliate_data {
        check_length("affiliate_data", data.len(), 0..=limits::DATA)?;
    }
    for endpoint in &request.affiliate_endpoints {
        check_length(
            "an endpoint of affiliate_endpoints",
            endpoint.len(),
            0..=limits::ENDPOINT,
        )?;
    }
    // More than an affiliate can have, whatever it has already. Merging would take a while.
    if request.affiliate_endpoints.len() > limits::ENDPOINTS {
        return Err(Error::from(crate::state::Refused::Endpoints).into());
    }
    let ttl = request.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
    let ttl = ttl.filter(|ttl| !ttl.is_zero() && *ttl <= limits::TTL);
    ttl.ok_or_else(|| {
        let most = limits::TTL.as_secs() / 60;
        Status::invalid_argument(format!("ttl must be more than nothing and at most {most} minutes"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn service(rules: Rules) -> Service {
        let store = Arc::new(Store::in_memory(1 << 20));
        let metrics = Arc::new(Metrics::default());
        Service::new(store, metrics, Clock::start(), rules)
    }

    fn update() -> AffiliateUpdateRequest {
        AffiliateUpdateRequest {
            cluster_id: "c".into(),
            affiliate_id: "a".into(),
            affiliate_data: Some(Bytes::from_static(b"sealed")),
            affiliate_endpoints: vec![],
            ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        }
    }

    async fn code(service: &Service, change: impl FnOnce(&mut AffiliateUpdateRequest)) -> Code {
        let mut request = update();
        change(&mut request);
        let result = service.affiliate_update(Request::new(request)).await;
        result.err().map_or(Code::Ok, |status| status.code())
    }

    #[tokio::test]
    async fn fields_out_of_bounds_are_invalid_and_too_many_endpoints_exhaust() {
        let service = service(Rules::default());
        let seconds = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
        assert_eq!(code(&service, |_| {}).await, Code::Ok);
        assert_eq!(
            code(&service, |r| r.cluster_id = String::new()).await,
            Code::InvalidArgument
        );
        assert_eq!(
            code(&service, |r| r.cluster_id = "c".repeat(257)).await,
            Code::InvalidArgument
        );
        assert_eq!(
            code(&service, |r| r.affiliate_id = String::new()).await,
            Code::InvalidArgument
        );
        assert_eq!(code(&service, |r| r.affiliate_id = "a".repeat(256)).await, Code::Ok);
        let data = |length| Some(Bytes::from(vec![0; length]));
        assert_eq!(code(&service, |r| r.affiliate_data = data(2048)).await, Code::Ok);
        assert_eq!(
            code(&service, |r| r.affiliate_data = data(2049)).await,
            Code::InvalidArgument
        );
        assert_eq!(code(&service, |r| r.ttl = None).await, Code::InvalidArgument);
        assert_eq!(code(&service, |r| r.ttl = seconds(0, 0)).await, Code::InvalidArgument);
        assert_eq!(code(&service, |r| r.ttl = seconds(-5, 0)).await, Code::InvalidArgument);
        assert_eq!(
            code(&service, |r| r.ttl = seconds(1800, 1)).await,
            Code::InvalidArgument
        );
        assert_eq!(code(&service, |r| r.ttl = seconds(1800, 0)).await, Code::Ok);
        let endpoint = |length| vec![Bytes::from(vec![9; length])];
        assert_eq!(
            code(&service, |r| r.affiliate_endpoints = endpoint(33)).await,
            Code::InvalidArgument
        );
        let many = |from: u8, n| (from..from + n).map(|i| Bytes::from(vec![i; 16])).collect::<Vec<_>>();
        assert_eq!(code(&service, |r| r.affiliate_endpoints = many(0, 64)).await, Code::Ok);
        assert_eq!(
            code(&service, |r| r.affiliate_endpoints = many(0, 65)).await,
            Code::ResourceExhausted
        );
        assert_eq!(
            code(&service, |r| r.affiliate_endpoints = many(64, 1)).await,
            Code::ResourceExhausted
        );
    }

    #[tokio::test]
    async fn a_cluster_and_the_whole_service_have_room_for_so_many() {
        let service = service(Rules::default());
        for number in 0..1024 {
            assert_eq!(code(&service, |r| r.affiliate_id = number.to_string()).await, Code::Ok);
        }
        assert_eq!(code(&service, |_| {}).await, Code::ResourceExhausted);
        assert_eq!(code(&service, |r| r.affiliate_id = "7".into()).await, Code::Ok);
        let mut refused = 0;
        for number in 0..1000 {
            let data = Some(Bytes::from(vec![0; 2048]));
            let code = code(&service, |r| {
                (r.cluster_id, r.affiliate_data) = (format!("d{number}"), data);
            })
            .await;
            refused += usize::from(code == Code::ResourceExhausted);
        }
        assert!((400..600).contains(&refused), "{refused}");
    }

    #[tokio::test]
    async fn an_address_that_asks_too_often_is_refused() {
        let rules = Rules {
            rate: 1,
            burst: 3,
            ..Rules::default()
        };
        let service = service(rules);
        for _ in 0..3 {
            assert_eq!(code(&service, |_| {}).await, Code::Ok);
        }
        assert_eq!(code(&service, |_| {}).await, Code::ResourceExhausted);
    }

    #[tokio::test]
    async fn hello_tells_the_address_and_where_to_go() {
        let rules = Rules {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            redirect: Some("https://other.example".into()),
            ..Rules::default()
        };
        let service = service(rules);
        let mut request = Request::new(HelloRequest {
            cluster_id: "c".into(),
            client_version: "v1".into(),
        });
        let peer = "::ffff:10.0.0.1".parse().unwrap();
        request.extensions_mut().insert(Caller::new(peer, Duration::ZERO));
        request
            .metadata_mut()
            .insert("x-forwarded-for", "192.0.2.9".parse().unwrap());
        let reply = service.hello(request).await.unwrap().into_inner();
        assert_eq!(reply.client_ip, [192, 0, 2, 9].as_slice());
        assert_eq!(reply.redirect.unwrap().endpoint, "https://other.example");
    }
}
