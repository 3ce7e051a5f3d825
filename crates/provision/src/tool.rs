//! The one place where a program of the host is run.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::{Error, Result};

const LIMIT: Duration = Duration::from_secs(20);
const FOLDERS: [&str; 6] = [
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// Where the host has this program.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    FOLDERS
        .iter()
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.exists())
}

/// Runs a program with fixed arguments, gives it `input`, and returns what it printed.
pub(crate) async fn run(program: &PathBuf, arguments: &[&str], input: &str) -> Result<String> {
    let what = || format!("{} {}", program.display(), arguments.join(" "));
    let failed = |reason: String| Error::System(sys::Error::new(format!("run {}", what()), reason));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", FOLDERS.join(":"))
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why on its own.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = tokio::time::timeout(LIMIT, child.wait_with_output());
    let output = output
        .await
        .map_err(|_| failed(format!("it took longer than {LIMIT:?}")))?;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}
