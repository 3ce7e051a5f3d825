//! Loop devices: a file seen as a block device.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Context, Error, Result};

// linux/loop.h
const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// Major number of loop devices (Documentation/admin-guide/devices.txt).
const LOOP_MAJOR: u32 = 7;

#[repr(C)]
#[derive(Clone, Copy)]
struct LoopInfo64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo64,
    reserved: [u64; 8],
}

/// An attached loop device. The kernel frees it when neither this handle nor a mount uses it any more.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    _handle: File,
}

impl LoopDevice {
    /// The device node, `/dev/loopN`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Attaches `image` read-only, or finds the device it is already attached to.
pub fn attach_read_only(image: &Path) -> Result<LoopDevice> {
    let backing = File::open(image).doing(|| format!("open the image {}", image.display()))?;
    let metadata = backing.metadata().doing(|| format!("stat {}", image.display()))?;
    if !metadata.is_file() {
        return Err(Error::new(
            format!("attach {}", image.display()),
            "is not a regular file",
        ));
    }
    // Looking and attaching are one step, or two nodes that start together would each attach a device.
    let _turn = take_turn(image);
    if let Some(device) = find(&metadata) {
        return Ok(device);
    }
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    let control = control.doing(|| "open /dev/loop-control (is the loop driver there, and are you root?)")?;
    // Another process may take the free device between the two calls: ask again a few times.
    let mut last = std::io::Error::other("no attempt was made");
    for _ in 0..32 {
        // SAFETY: LOOP_CTL_GET_FREE takes no argument and returns a number.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        if number < 0 {
            return Err(std::io::Error::last_os_error()).doing(|| "find a free loop device");
        }
        let path = node(number.cast_unsigned())?;
        let device = File::open(&path).doing(|| format!("open {}", path.display()))?;
        match configure(device.as_raw_fd(), backing.as_raw_fd(), image) {
            Ok(()) => return Ok(LoopDevice { path, _handle: device }),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
            Err(error) => return Err(error).doing(|| format!("attach {} to {}", image.display(), path.display())),
        }
    }
    Err(last).doing(|| format!("attach {} to a loop device", image.display()))
}

/// Waits for other users of this function on the same file. It only saves memory, so it is not worth waiting for ever.
/// The file is opened once more: the one that is attached stays open, and locked, as long as the device.
fn take_turn(image: &Path) -> Option<File> {
    let turn = File::open(image).ok()?;
    for _ in 0..200 {
        if rustix::fs::flock(&turn, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Some(turn);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    None
}

/// The device node of loop device `number`, made where nothing (udev, devtmpfs) has made it.
fn node(number: u32) -> Result<PathBuf> {
    let path = PathBuf::from(format!("/dev/loop{number}"));
    if !path.exists() {
        let device = rustix::fs::makedev(LOOP_MAJOR, number);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::BlockDevice,
            rustix::fs::Mode::from_raw_mode(0o600),
            device,
        )
        .doing(|| format!("make the device node {}", path.display()))?;
    }
    Ok(path)
}

fn configure(device: RawFd, backing: RawFd, image: &Path) -> std::io::Result<()> {
    let mut config = LoopConfig {
        fd: backing.cast_unsigned(),
        block_size: 0,
        info: empty(),
        reserved: [0; 8],
    };
    // Not direct I/O: the next cluster made from the same image then finds it in the page cache.
    config.info.flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    let name = image.as_os_str().as_encoded_bytes();
    let length = name.len().min(63);
    config.info.file_name[..length].copy_from_slice(&name[..length]);
    // SAFETY: `config` has the layout of struct loop_config and outlives the call, which only reads it.
    let result = unsafe { libc::ioctl(device, LOOP_CONFIGURE, &raw const config) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn empty() -> LoopInfo64 {
    LoopInfo64 {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    }
}

/// A device that shows exactly this file, read-only, from its first byte, and frees itself.
fn find(image: &std::fs::Metadata) -> Option<LoopDevice> {
    for entry in std::fs::read_dir("/sys/block").ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("loop") || !entry.path().join("loop/backing_file").exists() {
            continue;
        }
        let path = PathBuf::from("/dev").join(&name);
        // Opening it first keeps it from going away between looking and using.
        let Ok(device) = File::open(&path) else { continue };
        let Some(info) = status(device.as_raw_fd()) else {
            continue;
        };
        let wanted = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
        let same_file = info.device == image.dev() && info.inode == image.ino();
        if same_file && info.offset == 0 && info.size_limit == 0 && info.flags & wanted == wanted {
            return Some(LoopDevice { path, _handle: device });
        }
    }
    None
}

fn status(device: RawFd) -> Option<LoopInfo64> {
    let mut info = empty();
    // SAFETY: `info` has the layout of struct loop_info64 and is big enough for what the kernel writes.
    let result = unsafe { libc::ioctl(device, LOOP_GET_STATUS64, &raw mut info) };
    (result == 0).then_some(info)
}
