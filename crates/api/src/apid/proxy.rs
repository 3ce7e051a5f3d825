//! One call: who asks, may they, where does it go, and the way there and back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use pki::roles::{Role, RoleSet};
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;

use super::body;
use super::fanout::{self, SendTo};
use super::route::{self, Destination, PROXY_FROM, Route};
use super::upstream::{Upstream, Upstreams};
use super::{TlsState, limits};
use crate::client::{NODE, NODES};
use crate::door::body::Body;
use crate::door::{Caller, Handler};
use crate::endpoint::Endpoint;
use crate::{MAX_MESSAGE_SIZE, method, roles};

/// Header with the time that is left for a call.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The call by which a caller can lose its own access.
const APPLY: &str = "/machine.MachineService/ApplyConfiguration";

/// What all connections share.
pub(super) struct Proxy {
    pub(super) tls: watch::Receiver<TlsState>,
    pub(super) local_addresses: watch::Receiver<Vec<IpAddr>>,
    pub(super) forwarding: bool,
    pub(super) maintenance: bool,
    pub(super) rbac: bool,
    pub(super) node_port: u16,
    pub(super) upstreams: Upstreams,
}

impl Handler for Proxy {
    fn tls(&self) -> Arc<rustls::ServerConfig> {
        self.tls.borrow().server.clone()
    }

    fn sweep(&self) {
        self.upstreams.sweep();
    }

    async fn distrusted(self: Arc<Self>, chain: Vec<CertificateDer<'static>>) {
        let mut tls = self.tls.clone();
        loop {
            let accepted = tls.borrow_and_update().accepted_cas.clone();
            // What cannot be checked is not held against the client: it was let in.
            if !accepted.is_empty() && !pki::tls::is_client_of(&chain, &accepted).unwrap_or(true) {
                return;
            }
            if tls.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn answer(self: Arc<Self>, caller: Arc<Caller>, request: Request<Incoming>) -> Response<Body> {
        if !is_grpc(request.headers()) {
            let mut response = Response::new(Body::default());
            *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let path = request.uri().path().to_owned();
        match self.handle(&caller, request).await {
            Ok(response) => response,
            Err(status) => {
                tracing::debug!(path, code = ?status.code(), message = status.message(), "call refused or failed");
                status.into_http()
            }
        }
    }
}

impl Proxy {
    async fn handle(self: Arc<Self>, caller: &Caller, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let (parts, incoming) = request.into_parts();
        let path = parts.uri.path();
        let roles = self.roles(caller, &parts.headers)?;
        if self.maintenance {
            roles::authorize_in_maintenance(path)?;
        } else {
            roles::authorize(path, &roles)?;
        }
        let authority = self.authority(caller, &parts);
        let own = self.local_addresses.borrow().clone();
        let route = route::route(path, &parts.headers, &own, self.forwarding && !self.maintenance)?;
        let deadline = deadline(&parts.headers)?;
        let call = Call {
            path: path.to_owned(),
            headers: clean(parts.headers, authority),
            roles,
            from: own.first().map_or_else(|| "apid".to_owned(), IpAddr::to_string),
            deadline,
            proxy: self,
        };
        let here = Destination {
            name: String::new(),
            local: true,
        };
        match route {
            Route::Local => call.send_body(&here, body::from_client(incoming)).await,
            Route::One(destination) => call.send_body(&destination, body::from_client(incoming)).await,
            Route::Many(nodes) => {
                let streaming = method::find(&call.path).is_some_and(|m| m.server_streaming);
                let mut call = call;
                // Answers are put together as they are, so they must come uncompressed.
                call.headers.remove("grpc-accept-encoding");
                // A little before the client gives up, so that it hears from the nodes that did answer.
                call.deadline = call.deadline.map(|deadline| {
                    let left = deadline.saturating_duration_since(Instant::now());
                    deadline - (left / 10).min(limits::FAN_OUT_MARGIN)
                });
                let request = read(incoming).await?;
                let call = Arc::new(call);
                Ok(match streaming {
                    true => fanout::streaming(call, nodes, &request),
                    false => fanout::unary(call, nodes, request).await,
                })
            }
        }
    }

    /// Which authority issued the caller's certificate, for the call that may take it away; what another apid passes on
    /// is about its caller.
    fn authority(&self, caller: &Caller, parts: &http::request::Parts) -> Option<HeaderValue> {
        if caller.roles.includes(&Role::IMPERSONATOR) {
            return parts.headers.get(roles::AUTHORITY_KEY).cloned();
        }
        if parts.uri.path() != APPLY {
            return None;
        }
        let certificate = pki::pem::encode(pki::pem::CERTIFICATE, caller.certificate.as_ref()?);
        let accepted = self.tls.borrow().accepted_cas.clone();
        let authorities = pki::pem::certificates(&accepted).ok()?;
        let issuer = authorities.iter().find(|der| {
            let authority = pki::pem::encode(pki::pem::CERTIFICATE, der);
            pki::is_issued_by(certificate.as_bytes(), authority.as_bytes()).unwrap_or(false)
        })?;
        pki::cert_info_der(issuer).ok()?.fingerprint.parse().ok()
    }

    /// The roles that a call is made with: those of the certificate, or those another apid passes on.
    fn roles(&self, caller: &Caller, headers: &HeaderMap) -> Result<RoleSet, Status> {
        if self.maintenance {
            return Ok(RoleSet::of(&[Role::READER]));
        }
        if caller.until.is_some_and(|until| until < SystemTime::now()) {
            return Err(Status::unauthenticated(
                "the client certificate has expired since the connection was made",
            ));
        }
        if !self.rbac {
            return Ok(RoleSet::of(&[Role::ADMIN]));
        }
        if caller.roles.includes(&Role::IMPERSONATOR) && headers.contains_key(roles::ROLE_KEY) {
            return Ok(roles::of_headers(headers));
        }
        Ok(caller.roles.clone())
    }
}

/// One call on its way to its upstreams.
struct Call {
    proxy: Arc<Proxy>,
    path: String,
    headers: HeaderMap,
    roles: RoleSet,
    from: String,
    deadline: Option<Instant>,
}

impl Call {
    async fn send_body(&self, to: &Destination, body: Body) -> Result<Response<Body>, Status> {
        let mut request = Request::new(body);
        *request.method_mut() = http::Method::POST;
        let uri = self.path.parse();
        *request.uri_mut() = uri.map_err(|e| Status::invalid_argument(format!("path {}: {e}", self.path)))?;
        *request.headers_mut() = self.headers.clone();
        roles::set_headers(request.headers_mut(), &self.roles);
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            request.headers_mut().insert(GRPC_TIMEOUT, timeout_value(left));
        }
        let upstream = if to.local {
            Upstream::Local
        } else {
            let from = self
                .from
                .parse()
                .map_err(|_| Status::internal("the address of this node is no header"))?;
            request.headers_mut().insert(PROXY_FROM, from);
            Upstream::Node(Endpoint::new(&to.name, self.proxy.node_port))
        };
        // The connection to the local socket has no identity: it is reused over every renewal.
        let identity = match upstream {
            Upstream::Local => None,
            Upstream::Node(_) => self.proxy.tls.borrow().client.clone(),
        };
        let answer = self.proxy.upstreams.call(&upstream, identity.as_ref(), request);
        match self.deadline {
            None => answer.await,
            Some(deadline) => tokio::time::timeout_at(deadline, answer).await.unwrap_or_else(|_| {
                Err(Status::deadline_exceeded(format!(
                    "no answer in time from {}",
                    upstream.name()
                )))
            }),
        }
    }
}

impl SendTo for Call {
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    async fn send(&self, to: Destination, request: Bytes) -> Result<Response<Body>, Status> {
        self.send_body(&to, body::full(request)).await
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    content_type.is_some_and(|t| {
        t == "application/grpc" || t.starts_with("application/grpc+") || t.starts_with("application/grpc;")
    })
}

/// Metadata without what says where the call goes and who makes it: those are set anew for the next hop.
fn clean(mut headers: HeaderMap, authority: Option<HeaderValue>) -> HeaderMap {
    for key in [
        NODE,
        NODES,
        PROXY_FROM,
        roles::ROLE_KEY,
        roles::AUTHORITY_KEY,
        "host",
        "content-length",
    ] {
        headers.remove(key);
    }
    if let Some(authority) = authority {
        headers.insert(roles::AUTHORITY_KEY, authority);
    }
    headers
}

async fn read(incoming: Incoming) -> Result<Bytes, Status> {
    let body = Limited::new(incoming, MAX_MESSAGE_SIZE + 5);
    let read = tokio::time::timeout(limits::REQUEST_TIMEOUT, body.collect())
        .await
        .map_err(|_| Status::deadline_exceeded("the request did not arrive in time"))?;
    let collected = read.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Status::resource_exhausted(format!("the request is larger than {MAX_MESSAGE_SIZE} bytes")),
        None => Status::cancelled(format!("the request broke off: {error}")),
    })?;
    Ok(collected.to_bytes())
}

/// When the call must be done (gRPC over HTTP/2: at most eight digits and a unit).
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Status> {
    let Some(value) = headers.get(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let bad = || Status::invalid_argument(format!("{GRPC_TIMEOUT} is not a time: {value:?}"));
    let text = value.to_str().map_err(|_| bad())?;
    let (digits, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or_else(bad)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let number: u64 = digits.parse().map_err(|_| bad())?;
    let left = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return Err(bad()),
    };
    // A time too far away to count is no deadline.
    Ok(Instant::now().checked_add(left))
}

fn timeout_value(left: Duration) -> http::HeaderValue {
    let value = match left.as_millis() {
        millis @ 0..=99_999_999 => format!("{millis}m"),
        _ => format!("{}S", left.as_secs().min(99_999_999)),
    };
    http::HeaderValue::from_str(&value).unwrap_or_else(|_| http::HeaderValue::from_static("0m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(value: &str) -> Result<Option<u64>, tonic::Code> {
        let mut headers = HeaderMap::new();
        headers.insert(GRPC_TIMEOUT, value.parse().unwrap());
        let left = |at: Instant| (at - Instant::now()).as_secs_f64().round() as u64;
        deadline(&headers).map(|d| d.map(left)).map_err(|s| s.code())
    }

    #[test]
    fn deadlines_are_read_in_every_unit_and_nonsense_is_refused() {
        assert_eq!(left("2H"), Ok(Some(7200)));
        assert_eq!(left("30S"), Ok(Some(30)));
        assert_eq!(left("5000m"), Ok(Some(5)));
        assert_eq!(left("7000000u"), Ok(Some(7)));
        for bad in ["", "S", "5", "5x", "-5S", "123456789S", "\u{e9}S"] {
            assert_eq!(left(bad), Err(tonic::Code::InvalidArgument), "{bad:?}");
        }
    }

    #[test]
    fn deadlines_are_passed_on_in_eight_digits() {
        assert_eq!(timeout_value(Duration::from_millis(1500)), "1500m");
        assert_eq!(timeout_value(Duration::from_secs(1_000_000)), "1000000S");
    }
}
