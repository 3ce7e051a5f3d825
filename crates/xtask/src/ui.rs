//! Telling the person who waits what is going on, and how long each part took.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

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
        self.inner.lock().push((name.to_owned(), began));
        let result = work();
        self.inner
            .lock()
            .retain(|(running, at)| !(running == name && *at == began));
        let took = duration(began.elapsed());
        match &result {
            Ok((_, Some(note))) if note.is_empty() => self.say(&format!("  ✓ {name}  {took}")),
            Ok((_, Some(note))) => self.say(&format!("  ✓ {name}  {took}  ({note})")),
            Ok((_, None)) => self.say(&format!("  · {name}  {took}  (unchanged)")),
            Err(_) => self.say(&format!("  ✗ {name}  {took}")),
        }
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
