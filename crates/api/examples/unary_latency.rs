//! How long calls of the machine API take: `unary_latency TALOSCONFIG ADDRESS`, used by `cargo xtask bench`.
//!
//! Two hundred Version calls, one after another on one connection with mutual TLS; the times are printed as JSON.

use std::path::Path;
use std::time::Instant;

use api::client::{Client, ClientOptions};

const CALLS: usize = 200;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(file), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: unary_latency TALOSCONFIG ADDRESS".into());
    };
    let config = pki::clientconfig::ClientConfig::load(Path::new(&file))?;
    let context = config.context(None)?;
    let tls = pki::tls::client_config(&context.ca, context.identity().as_ref())?;
    let client = Client::connect(ClientOptions {
        endpoints: vec![address],
        ..ClientOptions::new(tls)
    })?;
    let mut machine = client.machine();
    // The first one connects.
    machine.version(()).await?;
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        machine.version(()).await?;
        times.push((began.elapsed().as_secs_f64() * 1e6).to_string());
    }
    println!("{{\"microseconds\": [{}]}}", times.join(","));
    Ok(())
}
