//! A client that writes to Kubernetes until it is told to stop; used by `cargo xtask bench soak`.
//!
//! `writes KUBECONFIG NAME SERVER…` writes ten times a second, to whichever server answers. A line on standard input, or
//! its end, stops it. Then every server is asked for everything that was acknowledged, and what is missing is printed as
//! JSON with how much there was and the longest time without an acknowledgement.

use anyhow::{Context, Result, bail};
use e2e::writer::Writer;
use serde_json::json;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, name, servers @ ..] = &args[..] else {
        bail!("usage: writes KUBECONFIG NAME SERVER…");
    };
    let kubeconfig = std::fs::read(kubeconfig).with_context(|| format!("read {kubeconfig}"))?;
    let writer = Writer::start(name, &kubeconfig, servers)?;
    std::io::stdin().lines().next().transpose()?;
    let written = writer.finish()?;
    println!(
        "{}",
        json!({
            "acknowledged": written.names.len(),
            "lost": written.lost,
            "gap": written.gap.as_secs_f64(),
            "gap_at": written.gap_at.as_secs_f64(),
        })
    );
    Ok(())
}
