//! What the command line of `bench` says.

use anyhow::{Context, Result, bail};

use super::ours;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Suite {
    Client,
    Discovery,
    Cluster,
    Ha,
    Soak,
}

/// What is measured, and how.
#[derive(Debug, PartialEq)]
pub struct Options {
    suites: Vec<Suite>,
    /// How often clusters are started.
    pub runs: usize,
    /// The network of clusters.
    pub subnet: String,
    /// How long `soak` does harm.
    pub minutes: u32,
    /// What `soak` chooses by; none is drawn anew.
    pub seed: Option<u64>,
}

impl Options {
    /// Reads the arguments.
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut options = Options {
            // All that answers within minutes.
            suites: vec![Suite::Client, Suite::Discovery, Suite::Cluster, Suite::Ha],
            runs: 3,
            subnet: "10.6.0.0/24".to_owned(),
            minutes: 30,
            seed: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "all" => {}
                "cluster" => options.suites = vec![Suite::Cluster],
                "client" => options.suites = vec![Suite::Client],
                "discovery" => options.suites = vec![Suite::Discovery],
                "ha" => options.suites = vec![Suite::Ha],
                "soak" => options.suites = vec![Suite::Soak],
                "--runs" => {
                    options.runs = value()?.parse().context("--runs: not a number")?;
                    if options.runs == 0 {
                        bail!("--runs: at least one");
                    }
                }
                "--minutes" => {
                    options.minutes = value()?.parse().context("--minutes: not a number")?;
                    if options.minutes == 0 {
                        bail!("--minutes: at least one");
                    }
                }
                "--seed" => options.seed = Some(value()?.parse().context("--seed: not a number")?),
                "--subnet" => {
                    options.subnet = value()?.clone();
                    ours::address(&options.subnet, 2)?;
                }
                other => bail!("bench: unknown argument {other:?}"),
            }
        }
        Ok(options)
    }

    /// Whether this is to be measured.
    pub fn has(&self, suite: Suite) -> bool {
        self.suites.contains(&suite)
    }

    /// Whether a cluster is made.
    pub fn needs_root(&self) -> bool {
        let makes = |suite: &Suite| !matches!(suite, Suite::Client | Suite::Discovery);
        self.suites.iter().any(makes)
    }

    /// Whether anything is measured that is in the distribution.
    pub fn needs_dist(&self) -> bool {
        self.suites.iter().any(|suite| *suite != Suite::Discovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_bench_are_read() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap(), parse("all").unwrap());
        assert!(!parse("all").unwrap().has(Suite::Soak));
        let client = parse("client --runs 5").unwrap();
        assert!(client.has(Suite::Client) && !client.has(Suite::Cluster) && client.runs == 5);
        let discovery = parse("discovery").unwrap();
        assert!(discovery.has(Suite::Discovery) && !discovery.needs_dist());
        let soak = parse("soak --minutes 5 --seed 7").unwrap();
        assert!(soak.has(Suite::Soak) && soak.minutes == 5 && soak.seed == Some(7));
        for wrong in [
            "--runs 0",
            "--runs",
            "--fast",
            "--subnet here",
            "soak --minutes 0",
            "--seed x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
