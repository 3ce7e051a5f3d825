//! What the launcher tells its parent before the target runs: lines of JSON on a pipe that closes on exec.

use std::io::Write;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The process that becomes the target.
    Pid(i32),
    /// Something that could not be done and is not needed to go on.
    Warning(String),
    /// Why there will be no target.
    Failed { step: String, kind: i32 },
}

pub(super) struct Reporter {
    pipe: std::fs::File,
}

impl Reporter {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Reporter { pipe: pipe.into() }
    }

    pub(super) fn send(&mut self, report: &Report) {
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            // Nobody left to tell if the parent is gone.
            let _ = self.pipe.write_all(&line);
        }
    }

    pub(super) fn warn(&mut self, error: &crate::Error) {
        self.send(&Report::Warning(error.to_string()));
    }
}

pub(super) fn parse(text: &str) -> Vec<Report> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
