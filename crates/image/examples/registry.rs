//! Serves an OCI layout: `cargo run -p image --example registry -- dist/images 127.0.0.1:5000 [STORE]`.

use image::registry::{Options, Registry, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(layout), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: registry LAYOUT ADDRESS [STORE]".into());
    };
    let options = Options {
        layout: Some(layout.into()),
        store: args.next().map(Into::into),
        ..Options::default()
    };
    let address: std::net::SocketAddr = address.parse()?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    eprintln!("serving on {address}");
    serve(
        listener,
        Registry::new(options)?,
        tokio_util::sync::CancellationToken::new(),
    )
    .await?;
    Ok(())
}
