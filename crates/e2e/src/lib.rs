//! What the end-to-end tests share: running the built programs, waiting for something to become true, and a runner
//! that prints each test's name and time and always cleans up.

pub mod program;
pub mod run;
pub mod wait;
