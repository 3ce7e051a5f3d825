//! `validate`: is a machine configuration right?

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use config::Config;
use config::validate::Mode;

use crate::cli::generate::Validate;
use crate::commands::reading::{self, kind};
use crate::output::{note, print};

/// Runs `validate`.
pub fn run(args: &Validate) -> Result<()> {
    let mode: Mode = args.mode.parse().map_err(anyhow::Error::msg).context("read --mode")?;
    let text = reading::text(&args.config, kind::MACHINE_CONFIG)?;
    if text.trim().is_empty() {
        bail!("{} is not valid: it is empty", args.config);
    }
    let config = Config::decode(text.as_bytes()).with_context(|| format!("{} is not valid", args.config))?;
    match config.validate_strict(mode, args.strict) {
        Ok(warnings) => {
            for warning in &warnings {
                note(&format!("warning: {warning}"));
            }
            for field in config.without_effect(mode) {
                note(&format!("note: {field} has no effect yet"));
            }
            Ok(print(&format!("{} is valid for {mode} mode\n", args.config))?)
        }
        Err(problems) => {
            let count = problems.len();
            let mut text = format!("{count} error{} occurred:\n", if count == 1 { "" } else { "s" });
            for problem in problems {
                let _ = writeln!(text, "\t* {problem}");
            }
            Err(anyhow::Error::msg(text).context(format!("{} is not valid for {mode} mode", args.config)))
        }
    }
}
