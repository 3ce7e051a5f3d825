//! Colours, for people at a terminal only.

use std::io::{self, IsTerminal as _};

/// Whether a stream gets colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Words that say that all is well, in lower case.
const GOOD: [&str; 4] = ["ok", "running", "true", "finished"];
/// Words that say that it is not.
const BAD: [&str; 3] = ["fail", "failed", "false"];

impl Paint {
    /// For standard output.
    pub fn stdout() -> Self {
        Self(allowed(io::stdout().is_terminal()))
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self(allowed(io::stderr().is_terminal()))
    }

    /// None at all.
    pub const fn none() -> Self {
        Self(false)
    }

    /// A heading.
    pub fn heading(self, text: &str) -> String {
        self.with(BOLD, text)
    }

    /// What is well, or new.
    pub fn good(self, text: &str) -> String {
        self.with(GREEN, text)
    }

    /// What is still to come.
    pub fn waiting(self, text: &str) -> String {
        self.with(YELLOW, text)
    }

    /// What failed, or is gone.
    pub fn bad(self, text: &str) -> String {
        self.with(RED, text)
    }

    /// A word that says how something is.
    pub fn state(self, word: &str) -> String {
        let lower = word.to_lowercase();
        if GOOD.contains(&lower.as_str()) {
            self.good(word)
        } else if BAD.contains(&lower.as_str()) {
            self.bad(word)
        } else {
            self.waiting(word)
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A terminal that knows colours, and a person who wants them (<https://no-color.org>).
fn allowed(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_colours() {
        assert_eq!(Paint(true).state("Running"), "\x1b[32mRunning\x1b[0m");
        assert_eq!(Paint(true).state("Failed"), "\x1b[31mFailed\x1b[0m");
        assert_eq!(Paint(true).state("Preparing"), "\x1b[33mPreparing\x1b[0m");
        assert_eq!(Paint(true).heading(""), "");
        assert_eq!(Paint::none().state("Running"), "Running");
    }
}
