//! A runner for slow tests that share what they test: in order, each with its name and time, a failure told whole.
//!
//! A test that fails is tried once more. One that passes then is no failure of the run, but it is named at its end: it
//! is unsteady, or what it tests is, and somebody has to find out which.

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
#[derive(Default, Debug, Clone)]
pub struct Summary {
    /// Proved.
    pub passed: usize,
    /// Those of them that were proved at the second try only.
    pub unsteady: Vec<&'static str>,
    /// Not proved.
    pub failed: usize,
    /// Left out by the filter.
    pub skipped: usize,
}

impl Summary {
    /// How many tests did not pass at once.
    pub fn troubles(&self) -> usize {
        self.failed + self.unsteady.len()
    }

    /// Prints the closing lines.
    pub fn print(&self) {
        for name in &self.unsteady {
            println!("unsteady: {name} passed at the second try only");
        }
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
        if attempt(context, test) {
            summary.passed += 1;
            continue;
        }
        println!("test {} ... once more", test.name);
        if attempt(context, test) {
            summary.passed += 1;
            summary.unsteady.push(test.name);
        } else {
            summary.failed += 1;
        }
    }
}

/// Runs a test and prints what came of it.
fn attempt<C>(context: &C, test: &Test<C>) -> bool {
    let started = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (test.run)(context)))
        .unwrap_or_else(|panic| Err(anyhow!("panicked: {}", panic_text(panic.as_ref()))));
    let seconds = started.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("test {} ... ok ({seconds:.1} s)", test.name),
        Err(error) => println!("test {} ... FAILED ({seconds:.1} s)\n{error:?}\n", test.name),
    }
    outcome.is_ok()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn fails_once(tries: &Cell<u32>) -> Result<()> {
        tries.set(tries.get() + 1);
        if tries.get() == 1 {
            Err(anyhow!("not yet"))
        } else {
            Ok(())
        }
    }

    fn fails(_: &Cell<u32>) -> Result<()> {
        panic!("never")
    }

    fn passes(_: &Cell<u32>) -> Result<()> {
        Ok(())
    }

    #[test]
    fn what_fails_twice_fails_and_what_fails_once_is_named() {
        let mut summary = Summary::default();
        let tests: Vec<Test<Cell<u32>>> = crate::tests![fails_once, fails, passes];
        all(&Cell::new(0), &tests, None, &mut summary);
        assert_eq!((summary.passed, summary.failed), (2, 1));
        assert_eq!(summary.unsteady, ["fails_once"]);
    }
}
