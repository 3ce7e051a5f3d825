//! Flags and environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::caller::Network;

/// The discovery service: nodes of a cluster find each other here.
///
/// What nodes say is encrypted with a key that this service does not have. It keeps what they say until its time to
/// live ends, and tells the other nodes of the cluster.
#[derive(Debug, Parser)]
#[command(name = "keelson-discovery", version)]
pub struct Settings {
    /// Where nodes connect (gRPC)
    #[arg(
        long,
        env = "KEELSON_DISCOVERY_LISTEN",
        default_value = "0.0.0.0:3000",
        value_name = "ADDRESS"
    )]
    pub listen: SocketAddr,

    /// Where the page, metrics and health are (plain HTTP)
    #[arg(
        long,
        env = "KEELSON_DISCOVERY_HTTP_LISTEN",
        default_value = "0.0.0.0:3001",
        value_name = "ADDRESS"
    )]
    pub http_listen: SocketAddr,

    /// Where the state is kept; without, it is lost when the service stops
    #[arg(long, env = "KEELSON_DISCOVERY_STATE", value_name = "FOLDER")]
    pub state: Option<PathBuf>,

    /// The certificate (PEM) that nodes are shown; without, nodes connect without TLS. Read again when it changes
    #[arg(long, env = "KEELSON_DISCOVERY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key (PEM) of the certificate
    #[arg(long, env = "KEELSON_DISCOVERY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Requests a second of one address; 0 for any number
    #[arg(long, env = "KEELSON_DISCOVERY_RATE", default_value_t = 15, value_name = "NUMBER")]
    pub rate: u32,

    /// Requests of one address at once
    #[arg(long, env = "KEELSON_DISCOVERY_BURST", default_value_t = 60, value_name = "NUMBER")]
    pub burst: u32,

    /// Proxies that are believed when they say for whom they call (X-Forwarded-For, X-Real-IP)
    #[arg(
        long,
        env = "KEELSON_DISCOVERY_TRUSTED_PROXY",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<Network>,

    /// Another service to which clients are sent when they say hello
    #[arg(long, env = "KEELSON_DISCOVERY_REDIRECT", value_name = "ENDPOINT")]
    pub redirect: Option<String>,

    /// How much the state may be, in MiB; new affiliates are refused when it is reached
    #[arg(
        long,
        env = "KEELSON_DISCOVERY_MAX_STATE_MIB",
        default_value_t = 1024,
        value_name = "MIB"
    )]
    pub max_state_mib: usize,

    /// How many connections of nodes may be open
    #[arg(
        long,
        env = "KEELSON_DISCOVERY_MAX_CONNECTIONS",
        default_value_t = 16384,
        value_name = "NUMBER"
    )]
    pub max_connections: usize,

    /// How often what expired is removed, in seconds
    #[arg(long, env = "KEELSON_DISCOVERY_COLLECT", default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub collect: Duration,

    /// How long after a snapshot the next one is written at the latest, in seconds, if anything changed
    #[arg(long, env = "KEELSON_DISCOVERY_SNAPSHOT", default_value = "600", value_name = "SECONDS", value_parser = seconds)]
    pub snapshot: Duration,

    /// What is logged: error, warn, info, debug, or a filter of tracing
    #[arg(long, env = "KEELSON_DISCOVERY_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: u32 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    match seconds {
        0 => Err("at least one second".to_owned()),
        seconds => Ok(Duration::from_secs(seconds.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
        let parse = |text: &str| Settings::try_parse_from(text.split(' '));
        assert!(parse("x --trusted-proxy 10.0.0.0/8,fd00::/8").is_ok());
        assert!(parse("x --tls-cert a").is_err());
        assert!(parse("x --collect 0").is_err());
    }
}
