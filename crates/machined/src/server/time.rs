//! The node's clock. In a container it is the host's, so there is no time server of its own to compare it with.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use api::proto::time as proto;
use api::proto::time::time_service_server::TimeService;
use api::reply::Reply;
use tokio::net::UdpSocket;
use tonic::{Request, Response, Status, async_trait};

/// The port of time servers.
const PORT: u16 = 123;
/// How long a time server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a message without extensions (RFC 5905, 7.3).
const MESSAGE: usize = 48;
/// Seconds from 1900, where the time of the protocol begins, to 1970.
const EPOCH: u64 = 2_208_988_800;

/// The service.
pub struct Time;

#[async_trait]
impl TimeService for Time {
    async fn time(&self, _: Request<()>) -> Result<Response<proto::TimeResponse>, Status> {
        let now = SystemTime::now();
        Ok(answer("host".to_owned(), now, now))
    }

    async fn time_check(&self, request: Request<proto::TimeRequest>) -> Result<Response<proto::TimeResponse>, Status> {
        let server = request.into_inner().server;
        if server.is_empty() {
            return Err(Status::invalid_argument(
                "no time server is named to compare the clock with",
            ));
        }
        let offset = ask(&server)
            .await
            .with_context(|| format!("error querying NTP server {server:?}"));
        let offset = offset.map_err(|error| Status::unavailable(format!("{error:#}")))?;
        let now = SystemTime::now();
        let remote = if offset >= 0 {
            now + Duration::from_nanos(offset.unsigned_abs())
        } else {
            now - Duration::from_nanos(offset.unsigned_abs())
        };
        Ok(answer(server, now, remote))
    }
}

fn answer(server: String, local: SystemTime, remote: SystemTime) -> Response<proto::TimeResponse> {
    Response::new(proto::TimeResponse::of(proto::Time {
        server,
        localtime: Some(local.into()),
        remotetime: Some(remote.into()),
        ..Default::default()
    }))
}

/// By how many nanoseconds the server's clock is ahead of ours.
async fn ask(server: &str) -> anyhow::Result<i64> {
    let endpoint = api::endpoint::Endpoint::parse(server, PORT)?;
    let addresses = crate::names::resolve(&endpoint.host).await?;
    let mut failure = anyhow::anyhow!("the name has no address");
    for address in addresses {
        match tokio::time::timeout(PATIENCE, ask_at(SocketAddr::new(address, endpoint.port))).await {
            Ok(Ok(offset)) => return Ok(offset),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = anyhow::anyhow!("{address} does not answer"),
        }
    }
    Err(failure)
}

async fn ask_at(server: SocketAddr) -> anyhow::Result<i64> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let sent = stamp(SystemTime::now());
    let mut request = [0; MESSAGE];
    // Version 4, as a client.
    request[0] = 4 << 3 | 3;
    request[40..].copy_from_slice(&sent.to_be_bytes());
    socket.send(&request).await?;
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).await.with_context(|| format!("ask {server}"))?;
    let received = stamp(SystemTime::now());
    offset(reply.get(..length).unwrap_or_default(), sent, received)
}

/// A time in 1/2^32 of seconds since 1900.
fn stamp(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + EPOCH) << 32 | fraction
}

/// The server's clock against ours, by the times of sending and receiving at both ends (RFC 5905, 8).
fn offset(reply: &[u8], sent: u64, received: u64) -> anyhow::Result<i64> {
    let word = |at: usize| -> anyhow::Result<u64> {
        let bytes = reply.get(at..at + 8).context("the answer is too short")?;
        Ok(u64::from_be_bytes(bytes.try_into()?))
    };
    let (first, stratum) = (
        reply.first().copied().unwrap_or_default(),
        reply.get(1).copied().unwrap_or_default(),
    );
    if first & 7 != 4 || word(24)? != sent {
        bail!("the answer is not one to our question");
    }
    if stratum == 0 {
        let code = String::from_utf8_lossy(&reply[12..16]).into_owned();
        bail!("the server refuses to answer ({})", code.trim_end_matches('\0'));
    }
    if first >> 6 == 3 {
        bail!("the server does not know the time itself");
    }
    let (arrived, left) = (word(32)?, word(40)?);
    // Differences fit 64 bits with the sign for clocks that are within 68 years of each other.
    let difference = |later: u64, earlier: u64| i128::from(later.wrapping_sub(earlier).cast_signed());
    let ahead = (difference(arrived, sent) + difference(left, received)) / 2;
    Ok(i64::try_from((ahead * 1_000_000_000) >> 32)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(sent: u64, arrived: u64, left: u64) -> [u8; MESSAGE] {
        let mut reply = [0; MESSAGE];
        (reply[0], reply[1]) = (4 << 3 | 4, 2);
        reply[24..32].copy_from_slice(&sent.to_be_bytes());
        reply[32..40].copy_from_slice(&arrived.to_be_bytes());
        reply[40..].copy_from_slice(&left.to_be_bytes());
        reply
    }

    #[test]
    fn the_way_there_and_back_is_taken_out() {
        let at = |seconds: f64| stamp(UNIX_EPOCH + Duration::from_secs_f64(1_800_000_000.0 + seconds));
        // Half a second each way, and a server that is ten seconds ahead.
        let found = offset(&reply(at(0.0), at(10.5), at(10.5)), at(0.0), at(1.0)).unwrap();
        assert!((found - 10_000_000_000).abs() < 1000, "{found}");
        let behind = offset(&reply(at(0.0), at(-9.5), at(-9.5)), at(0.0), at(1.0)).unwrap();
        assert!((behind + 10_000_000_000).abs() < 1000, "{behind}");
    }

    #[test]
    fn answers_that_say_nothing_are_refused() {
        let mut refused = reply(1, 2, 3);
        (refused[1], refused[12]) = (0, b'R');
        assert!(offset(&refused, 1, 4).unwrap_err().to_string().contains("(R)"));
        let mut unsynchronized = reply(1, 2, 3);
        unsynchronized[0] |= 3 << 6;
        assert!(offset(&unsynchronized, 1, 4).is_err());
        assert!(offset(&reply(7, 2, 3), 1, 4).is_err());
        assert!(offset(&[4], 1, 4).is_err());
    }

    #[tokio::test]
    async fn a_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut question = [0; MESSAGE];
            let (_, client) = server.recv_from(&mut question).await.unwrap();
            let sent = u64::from_be_bytes(question[40..].try_into().unwrap());
            let later = sent + (100 << 32);
            server.send_to(&reply(sent, later, later), client).await.unwrap();
        });
        let ahead = ask(&address.to_string()).await.unwrap();
        serving.await.unwrap();
        assert!((ahead - 100_000_000_000).abs() < 5_000_000_000, "{ahead}");
    }
}
