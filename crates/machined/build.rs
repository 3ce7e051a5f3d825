//! Compiles the parts of others' APIs that the node is a client of.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(
        [
            "proto/cri.proto",
            "proto/etcd.proto",
            "proto/etcd-election.proto",
            "proto/containerd-content.proto",
            "proto/containerd-images.proto",
            "proto/containerd-leases.proto",
        ],
        ["proto"],
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_server(false)
        .compile_fds(files)?;
    Ok(())
}
