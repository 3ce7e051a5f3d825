//! Telling the person who waits what is going on, and how long each part took.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use image::make::{Outcome, Progress};

/// How often the line of running steps is drawn on a terminal.
const REDRAW: Duration = Duration::from_millis(200);

/// Steps in progress. On a terminal a live line shows them; elsewhere each step is one line when it ends.
#[derive(Clone)]
pub struct Ui {
    inner: Arc<Inner>,
}

struct Inner {
    running: Mutex<Vec<(String, Instant)>>,
    live: bool,
    started: Instant,
}

impl Ui {
    /// Starts watching the terminal, if there is one.
    pub fn new() -> Ui {
        let live = std::io::stderr().is_terminal();
        let ui = Ui {
            inner: Arc::new(Inner {
                running: Mutex::default(),
                live,
                started: Instant::now(),
            }),
        };
        if live {
            let weak = Arc::downgrade(&ui.inner);
            std::thread::spawn(move || {
                while let Some(inner) = weak.upgrade() {
                    inner.draw();
                    drop(inner);
                    std::thread::sleep(REDRAW);
                }
            });
        }
        ui
    }

    /// Runs a step and says how long it took; `None` as its note means that there was nothing to do.
    pub fn step<T>(&self, name: &str, work: impl FnOnce() -> Result<(T, Option<String>)>) -> Result<T> {
        let began = Instant::now();
        self.begin(name);
        let result = work();
        let outcome = match &result {
            Ok((_, Some(note))) => Some(Outcome::Done(note.clone())),
            Ok((_, None)) => Some(Outcome::Unchanged),
            Err(_) => None,
        };
        self.end(name, outcome, began.elapsed());
        Ok(result?.0)
    }

    /// A step that lets a child write to the terminal itself.
    pub fn loud<T>(&self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.say(&format!("  > {name}"));
        let began = Instant::now();
        let result = work();
        let mark = if result.is_ok() { "✓" } else { "✗" };
        self.say(&format!("  {mark} {name}  {}", duration(began.elapsed())));
        result
    }

    /// Prints a line above the live one.
    pub fn say(&self, line: &str) {
        let _running = self.inner.lock();
        let clear = if self.inner.live { "\r\x1b[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{clear}{line}");
    }

    /// Prints a heading.
    pub fn heading(&self, text: &str) {
        self.say(text);
    }

    /// Prints how long everything took.
    pub fn total(&self, text: &str) {
        self.say(&format!("{text} in {}", duration(self.inner.started.elapsed())));
    }
}

impl Progress for Ui {
    fn begin(&self, step: &str) {
        self.inner.lock().push((step.to_owned(), Instant::now()));
    }

    fn end(&self, step: &str, outcome: Option<Outcome>, took: Duration) {
        let mut running = self.inner.lock();
        if let Some(at) = running.iter().position(|(name, _)| name == step) {
            running.remove(at);
        }
        drop(running);
        let took = duration(took);
        self.say(&match outcome {
            Some(Outcome::Done(note)) if note.is_empty() => format!("  ✓ {step}  {took}"),
            Some(Outcome::Done(note)) => format!("  ✓ {step}  {took}  ({note})"),
            Some(Outcome::Unchanged) => format!("  · {step}  {took}  (unchanged)"),
            None => format!("  ✗ {step}  {took}"),
        });
    }

    fn note(&self, text: &str) {
        self.say(&format!("  ! {text}"));
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) {
        let running = self.lock();
        if running.is_empty() {
            return;
        }
        let steps: Vec<String> = running
            .iter()
            .map(|(name, began)| format!("{name} {}", duration(began.elapsed())))
            .collect();
        let line: String = format!("  … {}", steps.join(", ")).chars().take(columns()).collect();
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }
}

/// Width of the terminal, less one so that the cursor stays on the line.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map_or(79, |size| usize::from(size.ws_col).saturating_sub(1).max(20))
}

/// `850 ms`, `12.3 s`, `4 min 05 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_a_fitting_unit() {
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_millis(12_340)), "12.3 s");
        assert_eq!(duration(Duration::from_secs(245)), "4 min 05 s");
    }
}
