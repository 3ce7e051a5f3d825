//! What the init process tells of itself, and where: on standard error, and in logs that the API shows like those of
//! services. How much is `info`, or more with `debug: true` in the configuration.

use std::io;
use std::sync::Arc;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, reload};

use crate::logs::{Log, Logs};

const USUAL: &str = "info";
/// The libraries underneath tell every packet; that helps nobody.
const VERBOSE: &str = "debug,h2=info,hyper=info,hyper_util=info,rustls=info,tonic=info,tower=info";

/// Makes the log verbose (`true`) or as usual.
pub type Verbosity = Arc<dyn Fn(bool) + Send + Sync>;

/// Starts logging to standard error, and to the logs `machined` and `controller-runtime`. A filter in the environment
/// (`KEELSON_LOG`) is the last word.
pub fn start(logs: &Logs) -> Verbosity {
    let given = std::env::var("KEELSON_LOG").ok();
    let (filter, handle) = reload::Layer::new(EnvFilter::new(given.as_deref().unwrap_or(USUAL)));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    let kept = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Kept::new(logs));
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(kept)
        .init();
    Arc::new(move |verbose| {
        if given.is_some() {
            return;
        }
        if let Err(error) = handle.reload(EnvFilter::new(if verbose { VERBOSE } else { USUAL })) {
            tracing::warn!(%error, "the log stays as verbose as it was");
        }
    })
}

/// The logs of the init process: what its controllers say, and everything else.
struct Kept {
    machined: Log,
    controllers: Log,
}

impl Kept {
    fn new(logs: &Logs) -> Self {
        Self {
            machined: logs.of("machined"),
            controllers: logs.of("controller-runtime"),
        }
    }

    /// The log for what is said by a module.
    fn of(&self, target: &str) -> Lines {
        let is_controller = ["machined::controllers", "resource"].iter().any(|module| {
            target
                .strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        Lines(
            if is_controller {
                &self.controllers
            } else {
                &self.machined
            }
            .clone(),
        )
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Lines;

    fn make_writer(&self) -> Lines {
        Lines(self.machined.clone())
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Lines {
        self.of(metadata.target())
    }
}

/// Writes whole lines into a log.
struct Lines(Log);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn controllers_have_a_log_of_their_own() {
        let logs = Logs::default();
        let kept = Kept::new(&logs);
        for (target, line) in [
            ("machined::controllers::etcd", "a\n"),
            ("resource::runtime::run", "b\n"),
            ("machined::sequence", "c\n"),
            ("resourceful", "d\n"),
        ] {
            kept.of(target).write_all(line.as_bytes()).unwrap();
        }
        let lines = |name: &str| logs.get(name).unwrap().read(None).0;
        assert_eq!(lines("controller-runtime"), ["a", "b"]);
        assert_eq!(lines("machined"), ["c", "d"]);
    }
}
