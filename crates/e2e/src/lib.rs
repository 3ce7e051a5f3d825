//! What the end-to-end tests share: running the built programs, a place for them, waiting for something to become
//! true, and a runner that prints each test's name and time and always cleans up.

pub mod cut;
pub mod engine;
pub mod machine;
pub mod program;
pub mod run;
pub mod running;
pub mod site;
pub mod traces;
pub mod wait;
pub mod wire;
pub mod writer;
