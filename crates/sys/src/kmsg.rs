//! The kernel log, `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

use crate::{Context, Result};

/// The kernel cuts records at this many bytes (CONSOLE_EXT_LOG_MAX).
const RECORD_MAX: usize = 8192;

/// One record of the kernel log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who wrote it: 0 is the kernel, the rest as in syslog(3).
    pub facility: u8,
    /// 0 (emergency) to 7 (debug).
    pub priority: u8,
    /// Number; a gap is a loss.
    pub sequence: u64,
    /// Time since boot.
    pub time: Duration,
    /// The text.
    pub message: String,
}

/// Reads records, the oldest first.
#[derive(Debug)]
pub struct Reader {
    file: AsyncFd<File>,
}

impl Reader {
    /// Opens the log; `only_new` skips what is already there. `None` where there is no log or it may not be read
    /// (containers, kernel.dmesg_restrict): a node goes on without. Needs a runtime.
    pub fn open(only_new: bool) -> Result<Option<Reader>> {
        let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC)
            .bits()
            .cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg") {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                return Ok(None);
            }
            Err(error) => return Err(error).doing(|| "open /dev/kmsg"),
        };
        if only_new {
            rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0)).doing(|| "seek in /dev/kmsg")?;
        }
        // A /dev/kmsg that is no log (a link to /dev/null, a plain file) cannot be polled.
        match crate::watch(file) {
            Ok(file) => Ok(Some(Reader { file })),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => Err(error).doing(|| "watch /dev/kmsg"),
        }
    }

    /// The next record that is there now; `None` at the end.
    pub fn try_next(&mut self) -> Result<Option<Record>> {
        let mut buffer = [0; RECORD_MAX];
        loop {
            match self.file.get_ref().read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    if let Some(record) = parse(&String::from_utf8_lossy(&buffer[..count])) {
                        return Ok(Some(record));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                // The record was overwritten while we looked; the next read starts at the oldest there is.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing(|| "read /dev/kmsg"),
            }
        }
    }

    /// The next record, waiting for it. Cancel-safe.
    pub async fn next(&mut self) -> Result<Record> {
        loop {
            if let Some(record) = self.try_next()? {
                return Ok(record);
            }
            let mut ready = self.file.readable().await.doing(|| "watch /dev/kmsg")?;
            ready.clear_ready();
        }
    }
}

/// Writes a line to the kernel log.
pub fn write(priority: u8, message: &str) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")
        .doing(|| "open /dev/kmsg")?;
    // User space writes with facility 1; a record is one write.
    let line = format!("<{}>{message}\n", 8 | (priority & 7));
    file.write_all(line.as_bytes()).doing(|| "write /dev/kmsg")
}

/// Reads `priority,sequence,microseconds,flags;text`, with continuation lines of properties that are left out.
fn parse(text: &str) -> Option<Record> {
    let (head, message) = text.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let sequence = fields.next()?.parse().ok()?;
    let microseconds = fields.next()?.parse().ok()?;
    Some(Record {
        facility: u8::try_from(priority >> 3).unwrap_or(u8::MAX),
        priority: (priority & 7) as u8,
        sequence,
        time: Duration::from_micros(microseconds),
        message: message.lines().next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read() {
        let record = parse("14,339,5140900,-;NET: Registered; family 10\n SUBSYSTEM=pci\n").unwrap();
        assert_eq!((record.facility, record.priority, record.sequence), (1, 6, 339));
        assert_eq!(record.time, Duration::from_micros(5_140_900));
        assert_eq!(record.message, "NET: Registered; family 10");
        assert_eq!(parse("nonsense"), None);
    }

    #[tokio::test]
    async fn the_log_is_read_to_its_end_where_there_is_one() {
        if let Some(mut reader) = Reader::open(false).unwrap() {
            while reader.try_next().unwrap().is_some() {}
        }
    }
}
