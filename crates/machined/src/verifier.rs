//! The program that containerd starts before it pulls an image (`image-verifier`): it asks the init process, and says what
//! that says. Whatever goes wrong, the image is not pulled.
//!
//! containerd gives the image as `-name NAME -digest DIGEST`, takes the exit status as the judgement, and shows what is
//! printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Where the init process answers.
pub const SOCKET: &str = "/system/run/image-verifier/verifier.sock";
/// Largest question and answer, bytes: names and reasons are short.
pub const MAX: u64 = 64 * 1024;
/// How long the init process may take: longer than it gives itself, and shorter than containerd waits.
const PATIENCE: Duration = Duration::from_secs(55);

/// May this image be pulled? One line of JSON.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The image as it was asked for.
    pub name: String,
    /// What the registry has under that name.
    pub digest: String,
}

/// One line of JSON.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// It may.
    pub admitted: bool,
    /// Why, or why not.
    pub why: String,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let asked = question(std::env::args().skip(1)).and_then(|question| ask(Path::new(SOCKET), &question));
    let answer = asked.unwrap_or_else(|error| Answer {
        admitted: false,
        why: format!("the node did not judge the image, so it is not pulled: {error:#}"),
    });
    // If nobody hears the reason the status still says it.
    let _ = writeln!(std::io::stdout(), "{}", answer.why);
    if answer.admitted {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The image that the arguments name. Others than ours may come with newer versions of containerd.
fn question(args: impl Iterator<Item = String>) -> anyhow::Result<Question> {
    let (mut name, mut digest) = (None, None);
    let mut args = args;
    while let Some(arg) = args.next() {
        match arg.trim_start_matches('-') {
            "name" => name = args.next(),
            "digest" => digest = args.next(),
            _ => {}
        }
    }
    Ok(Question {
        name: name.context("containerd gave no -name")?,
        digest: digest.context("containerd gave no -digest")?,
    })
}

fn ask(socket: &Path, question: &Question) -> anyhow::Result<Answer> {
    let mut stream = UnixStream::connect(socket).context("reach the init process")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line).context("ask the init process")?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX))
        .read_line(&mut answer)
        .context("wait for the init process' answer")?;
    serde_json::from_str(&answer).context("read the init process' answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> anyhow::Result<Question> {
        question(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn the_image_is_taken_from_containerds_arguments() {
        let kind = ["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"];
        let args = [&["-name", "ghcr.io/a/b:v1", "-digest", "sha256:00"], &kind[..]].concat();
        let question = asked(&args).unwrap();
        assert_eq!(
            (question.name.as_str(), question.digest.as_str()),
            ("ghcr.io/a/b:v1", "sha256:00")
        );
        assert!(asked(&["-name", "a"]).is_err());
        assert!(asked(&["-digest"]).is_err());
    }

    #[test]
    fn an_answer_that_does_not_come_or_is_cut_off_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let question = asked(&["-name", "a", "-digest", "b"]).unwrap();
        assert!(ask(&socket, &question).is_err());
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let said: [&[u8]; 3] = [
            b"",
            br#"{"admitted":true,"why":"#,
            b"{\"admitted\":true,\"why\":\"so\"}\n",
        ];
        let server = std::thread::spawn(move || {
            for text in said {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap())
                    .read_line(&mut line)
                    .unwrap();
                assert_eq!(serde_json::from_str::<Question>(&line).unwrap().name, "a");
                stream.write_all(text).unwrap();
            }
        });
        assert!(ask(&socket, &question).is_err());
        assert!(ask(&socket, &question).is_err());
        assert!(ask(&socket, &question).unwrap().admitted);
        server.join().unwrap();
    }
}
