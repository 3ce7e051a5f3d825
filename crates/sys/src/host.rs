//! The machine as a whole: names, clocks, randomness, power.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Context, Result};

/// What the kernel calls itself and the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uname {
    /// `Linux`.
    pub system: String,
    /// Host name.
    pub node: String,
    /// `6.18.44`.
    pub release: String,
    /// Build of the kernel.
    pub version: String,
    /// `x86_64`.
    pub machine: String,
}

/// uname(2).
pub fn uname() -> Uname {
    let uname = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    Uname {
        system: text(uname.sysname()),
        node: text(uname.nodename()),
        release: text(uname.release()),
        version: text(uname.version()),
        machine: text(uname.machine()),
    }
}

/// The host name of the current UTS namespace.
pub fn hostname() -> String {
    uname().node
}

/// Sets the host name of the current UTS namespace.
pub fn set_hostname(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).doing(|| format!("set the host name to {name}"))
}

/// Sets the NIS domain name of the current UTS namespace.
pub fn set_domainname(name: &str) -> Result<()> {
    rustix::system::setdomainname(name.as_bytes()).doing(|| format!("set the domain name to {name}"))
}

/// Time since boot, suspension included.
pub fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// The time of day at boot, by the clock as it is set now.
pub fn boot_time() -> SystemTime {
    SystemTime::now()
        .checked_sub(uptime())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The machine's memory in bytes.
pub fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

/// A random identifier of this boot.
pub fn boot_id() -> Result<String> {
    crate::sysctl::read("kernel.random.boot_id")
}

/// Sets the time of day.
pub fn set_time(time: SystemTime) -> Result<()> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let value = rustix::time::Timespec {
        tv_sec: since.as_secs().cast_signed(),
        tv_nsec: since.subsec_nanos().into(),
    };
    rustix::time::clock_settime(rustix::time::ClockId::Realtime, value).doing(|| "set the clock")
}

/// Fills `bytes` from the kernel's random number generator.
pub fn random(bytes: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing(|| "read random numbers"),
        }
    }
    Ok(())
}

/// What to do with the machine. In a PID namespace the kernel ends the namespace instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// Start again.
    Restart,
    /// Switch off.
    Off,
    /// Stop the processors.
    Halt,
    /// Start the kernel that kexec_load(2) put in place.
    Kexec,
}

/// reboot(2). Nothing is synced before; call [`sync`].
pub fn power(action: Power) -> Result<()> {
    use rustix::system::RebootCommand;
    let command = match action {
        Power::Restart => RebootCommand::Restart,
        Power::Off => RebootCommand::PowerOff,
        Power::Halt => RebootCommand::Halt,
        Power::Kexec => RebootCommand::Kexec,
    };
    rustix::system::reboot(command).doing(|| format!("reboot(2): {action:?}"))
}

/// Whether ctrl-alt-del restarts at once (the kernel's default) or is a signal to PID 1.
pub fn set_ctrl_alt_del(immediate: bool) -> Result<()> {
    use rustix::system::RebootCommand;
    let command = if immediate {
        RebootCommand::CadOn
    } else {
        RebootCommand::CadOff
    };
    rustix::system::reboot(command).doing(|| "set what ctrl-alt-del does")
}

/// Writes everything that waits in memory to the disks.
pub fn sync() {
    rustix::fs::sync();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name_a_kernel_and_was_booted_in_the_past() {
        assert_eq!(uname().system, "Linux");
        assert!(!hostname().is_empty());
        assert!(boot_time() < SystemTime::now());
        assert_eq!(boot_id().unwrap().len(), 36);
    }

    #[test]
    fn random_bytes_are_not_all_alike() {
        let mut bytes = [0; 64];
        random(&mut bytes).unwrap();
        assert!(bytes.iter().any(|byte| *byte != bytes[0]));
    }
}
