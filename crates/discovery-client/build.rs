//! Compiles the contract of the discovery service.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["discovery/server.proto", "discovery/client.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Many watchers are sent the same bytes.
        .bytes(".")
        .build_server(cfg!(feature = "server"))
        // The service answers Watch by itself.
        .generate_default_stubs(true)
        .include_file("discovery.rs")
        .compile_fds(files)?;
    Ok(())
}
