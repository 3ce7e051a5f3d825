//! How much the init process tells of itself: `info`, or more with `debug: true` in the configuration.

use std::sync::Arc;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

const USUAL: &str = "info";
/// The libraries underneath tell every packet; that helps nobody.
const VERBOSE: &str = "debug,h2=info,hyper=info,hyper_util=info,rustls=info,tonic=info,tower=info";

/// Makes the log verbose (`true`) or as usual.
pub type Verbosity = Arc<dyn Fn(bool) + Send + Sync>;

/// Starts logging to standard error. A filter in the environment (`KEELSON_LOG`) is the last word.
pub fn start() -> Verbosity {
    let given = std::env::var("KEELSON_LOG").ok();
    let (filter, handle) = reload::Layer::new(EnvFilter::new(given.as_deref().unwrap_or(USUAL)));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Arc::new(move |verbose| {
        if given.is_some() {
            return;
        }
        if let Err(error) = handle.reload(EnvFilter::new(if verbose { VERBOSE } else { USUAL })) {
            tracing::warn!(%error, "the log stays as verbose as it was");
        }
    })
}
