//! The process that holds a pod's namespaces open: it waits, and buries orphans when it is PID 1 of a shared PID
//! namespace.

use rustix::process::{Pid, WaitOptions, waitpid};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGCHLD, SIGINT, SIGTERM])?;
    for signal in &mut signals {
        if signal != SIGCHLD {
            return Ok(());
        }
        // One signal may stand for several children.
        while let Ok(Some(_)) = waitpid(None::<Pid>, WaitOptions::NOHANG) {}
    }
    Ok(())
}
