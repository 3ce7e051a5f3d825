//! Docker's command line.

use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::log;

/// Runs `docker`; gives what it printed.
pub(crate) fn run(arguments: &[&str]) -> Result<String> {
    run_with(arguments, &[])
}

/// The same with variables in its environment, for what must not be seen in a list of processes.
pub(crate) fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<String> {
    let output = output(arguments, variables)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// What a container printed, or its last lines.
pub(crate) fn logs(container: &str, lines: Option<usize>) -> Result<Vec<u8>> {
    let tail = lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
    let mut output = output(&["logs", "--tail", &tail, container], &[])?;
    output.stdout.append(&mut output.stderr);
    Ok(output.stdout)
}

/// The end of a container's log as the continuation of an error message.
pub(crate) fn end_of_log(container: &str) -> String {
    let text = logs(container, Some(log::TAIL_LINES)).unwrap_or_default();
    log::last_lines(&String::from_utf8_lossy(&text), &format!("docker logs {container}"))
}

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    // Arguments end where options do: an image or id is enough to know what it was about.
    let what = format!(
        "run docker {}",
        arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ")
    );
    let failed = |reason: String| Error::System(sys::Error::new(what.clone(), reason));
    let mut command = Command::new("docker");
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(
            "Docker's command line is not installed here (install Docker, or create a native cluster)".to_owned(),
        ),
        _ => failed(error.to_string()),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    // It may say the same once for each thing it was asked to do.
    lines.dedup();
    Err(failed(if lines.is_empty() {
        output.status.to_string()
    } else {
        lines.join("; ")
    }))
}
