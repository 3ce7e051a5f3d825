//! A runner for slow tests that share what they test: in order, each with its name and time, a failure told whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, anyhow};

/// A test: the sentence it proves, and the proof.
pub struct Test<C> {
    /// What it proves.
    pub name: &'static str,
    /// Fails with why it is not so.
    pub run: fn(&C) -> Result<()>,
}

/// Makes a list of tests from functions, named by their paths.
#[macro_export]
macro_rules! tests {
    ($($function:path),+ $(,)?) => {
        vec![$($crate::run::Test { name: stringify!($function), run: $function }),+]
    };
}

/// Counts of what was run.
#[derive(Default, Debug, Clone, Copy)]
pub struct Summary {
    /// Proved.
    pub passed: usize,
    /// Not proved.
    pub failed: usize,
    /// Left out by the filter.
    pub skipped: usize,
}

impl Summary {
    /// Prints the closing line.
    pub fn print(self) {
        println!(
            "\n{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        );
    }
}

/// Whether any of the tests is to be run; if not, what they share need not be made, and they count as skipped.
pub fn any<C>(tests: &[Test<C>], filter: Option<&str>, summary: &mut Summary) -> bool {
    let any = tests.iter().any(|test| is_wanted(test.name, filter));
    if !any {
        summary.skipped += tests.len();
    }
    any
}

/// Whether a name contains the filter, or one of its parts between commas.
fn is_wanted(name: &str, filter: Option<&str>) -> bool {
    filter.is_none_or(|filter| filter.split(',').any(|part| name.contains(part)))
}

/// Runs the tests whose name contains `filter`, in order; a panic is a failure like any other.
pub fn all<C>(context: &C, tests: &[Test<C>], filter: Option<&str>, summary: &mut Summary) {
    for test in tests {
        if !is_wanted(test.name, filter) {
            summary.skipped += 1;
            continue;
        }
        println!("test {} ...", test.name);
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (test.run)(context)))
            .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(panic.as_ref()))));
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                summary.passed += 1;
                println!("test {} ... ok ({seconds:.1} s)", test.name);
            }
            Err(error) => {
                summary.failed += 1;
                println!("test {} ... FAILED ({seconds:.1} s)\n{error:?}\n", test.name);
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no message".to_owned())
}
