//! Packets as they pass an interface (packet(7)).

use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::unix::AsyncFd;

use crate::{Context, Error, Result};

/// Hardware types of interfaces without link layer headers (net/if_arp.h): their packets begin with the IP header.
const WITHOUT_HEADER: [u16; 6] = [
    libc::ARPHRD_NONE,
    libc::ARPHRD_TUNNEL,
    libc::ARPHRD_TUNNEL6,
    libc::ARPHRD_SIT,
    libc::ARPHRD_IPGRE,
    libc::ARPHRD_VOID,
];
/// The kernel takes no longer filters (BPF_MAXINSNS).
pub const FILTER_MAX: usize = 4096;
/// The largest packet that is kept whole, with offloads (GSO).
pub const SNAP_LENGTH_MAX: u32 = 256 * 1024;
/// Room for packets that arrive while nobody reads; more are lost, and counted.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;

/// How the bytes of a packet begin; the numbers are those of packet capture files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// With an Ethernet header.
    Ethernet = 1,
    /// With an IP header.
    Raw = 101,
}

/// One instruction of a classic BPF program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if true.
    pub jump_true: u8,
    /// Instructions to skip if false.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also packets for others.
    pub promiscuous: bool,
    /// Bytes to keep of each packet; 0 keeps all.
    pub snap_length: u32,
    /// Which packets; empty takes all.
    pub filter: Vec<Instruction>,
}

/// A packet, cut to the wanted length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When the kernel saw it.
    pub time: SystemTime,
    /// How long it was.
    pub length: u32,
    /// Its first bytes.
    pub bytes: Vec<u8>,
}

/// A running capture; ends when dropped.
#[derive(Debug)]
pub struct Capture {
    socket: AsyncFd<OwnedFd>,
    link_type: LinkType,
    /// Every packet of a loopback passes twice, going out and coming in; the first is left out.
    loopback: bool,
    buffer: Vec<u8>,
}

impl Capture {
    /// Starts capturing on an interface of this network namespace. Needs a runtime, and the privilege CAP_NET_RAW.
    ///
    /// # Errors
    /// There is no such interface, the filter is not valid, or the privilege is missing.
    pub fn open(interface: &str, options: &Options) -> Result<Capture> {
        let what = || format!("capture packets on {interface}");
        if options.filter.len() > FILTER_MAX {
            return Err(Error::new(
                what(),
                format!("the filter has more than {FILTER_MAX} instructions"),
            ));
        }
        let name = CString::new(interface).map_err(|_| Error::new(what(), "the name has a zero byte"))?;
        // SAFETY: a plain call without pointers; the descriptor is checked before it is owned.
        let descriptor = unsafe {
            libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                0,
            )
        };
        check(descriptor).doing(what)?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let index = index(&name).doing(what)?;
        let hardware = hardware_type(&socket, &name).doing(what)?;
        let link_type = if WITHOUT_HEADER.contains(&hardware) {
            LinkType::Raw
        } else {
            LinkType::Ethernet
        };
        // The socket was made without a protocol: nothing arrives before filter and interface are set.
        attach(&socket, &options.filter).doing(|| format!("set the filter to capture on {interface}"))?;
        set(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1).doing(what)?;
        // More than the host's limit takes a privilege; less room only loses packets sooner.
        let _ = set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &RECEIVE_BUFFER);
        if options.promiscuous {
            // SAFETY: all zeroes is a valid packet_mreq.
            let mut request: libc::packet_mreq = unsafe { zeroed() };
            request.mr_ifindex = index;
            request.mr_type = libc::PACKET_MR_PROMISC as libc::c_ushort;
            set(&socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request).doing(what)?;
        }
        bind(&socket, index).doing(what)?;
        let snap = match options.snap_length {
            0 => SNAP_LENGTH_MAX,
            wanted => wanted.min(SNAP_LENGTH_MAX),
        };
        Ok(Capture {
            socket: crate::watch(socket).doing(what)?,
            link_type,
            loopback: hardware == libc::ARPHRD_LOOPBACK,
            buffer: vec![0; snap as usize],
        })
    }

    /// How packets begin.
    pub fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// The most bytes that are kept of a packet.
    pub fn snap_length(&self) -> u32 {
        u32::try_from(self.buffer.len()).unwrap_or(SNAP_LENGTH_MAX)
    }

    /// The next packet that is there now.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn try_next(&mut self) -> Result<Option<Packet>> {
        loop {
            match receive(self.socket.get_ref(), &mut self.buffer) {
                Ok((_, outgoing)) if outgoing && self.loopback => {}
                Ok((packet, _)) => return Ok(Some(packet)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).doing(|| "receive a packet"),
            }
        }
    }

    /// The next packet, waiting for it. Cancel-safe.
    ///
    /// # Errors
    /// As [`Capture::try_next`].
    pub async fn next(&mut self) -> Result<Packet> {
        if let Some(packet) = self.try_next()? {
            return Ok(packet);
        }
        loop {
            let mut ready = self.socket.readable().await.doing(|| "wait for a packet")?;
            // Cleared before the next look: a packet that comes in between sets it again.
            ready.clear_ready();
            drop(ready);
            if let Some(packet) = self.try_next()? {
                return Ok(packet);
            }
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn index(name: &CString) -> io::Result<libc::c_int> {
    // SAFETY: the name is a C string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index.cast_signed()),
    }
}

fn hardware_type(socket: &OwnedFd, name: &CString) -> io::Result<u16> {
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes().iter().take(room)) {
        *to = from.cast_signed();
    }
    // SAFETY: the request is a valid ifreq with a terminated name, and lives through the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFHWADDR, &mut request) })?;
    // SAFETY: SIOCGIFHWADDR fills in this member.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}

fn set<T>(socket: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length are those of a value that lives through the call; the kernel only reads it.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    })
}

fn attach(socket: &OwnedFd, filter: &[Instruction]) -> io::Result<()> {
    if filter.is_empty() {
        return Ok(());
    }
    let mut program: Vec<libc::sock_filter> = filter
        .iter()
        .map(|i| libc::sock_filter {
            code: i.code,
            jt: i.jump_true,
            jf: i.jump_false,
            k: i.operand,
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_mut_ptr(),
    };
    // The kernel copies the program, and checks it before use.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn bind(socket: &OwnedFd, index: libc::c_int) -> io::Result<()> {
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: pointer and length are those of an address that lives through the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) })
}

/// A packet, and whether it was on its way out.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<(Packet, bool)> {
    let mut control = [0u64; 16];
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut from: libc::sockaddr_ll = unsafe { zeroed() };
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = std::ptr::from_mut(&mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the header points to buffers that live through the call, with their true lengths.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_TRUNC) };
    let Ok(length) = usize::try_from(length) else {
        return Err(io::Error::last_os_error());
    };
    let packet = Packet {
        time: timestamp(&message).unwrap_or_else(SystemTime::now),
        length: u32::try_from(length).unwrap_or(u32::MAX),
        bytes: buffer[..length.min(buffer.len())].to_vec(),
    };
    Ok((packet, from.sll_pkttype == libc::PACKET_OUTGOING))
}

fn timestamp(message: &libc::msghdr) -> Option<SystemTime> {
    // SAFETY: the header was filled in by recvmsg, and its control buffer is alive and aligned.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: not null, so it points to a whole control message inside the buffer.
        let header = unsafe { &*control };
        if header.cmsg_level == libc::SOL_SOCKET && header.cmsg_type == libc::SCM_TIMESTAMPNS {
            // SAFETY: this kind of message carries a timespec, perhaps not aligned.
            let time = unsafe { libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned() };
            let since = Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?);
            return Some(UNIX_EPOCH + since);
        }
        // SAFETY: both pointers are of the same, live message.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    /// Classic BPF that takes nothing: `ret #0`.
    const NOTHING: Instruction = Instruction {
        code: 6,
        jump_true: 0,
        jump_false: 0,
        operand: 0,
    };

    fn marked(packet: &Packet, mark: &[u8]) -> bool {
        packet.bytes.windows(mark.len()).any(|part| part == mark)
    }

    #[tokio::test]
    async fn packets_of_an_interface_are_seen_and_filtered() {
        let Ok(mut all) = Capture::open("lo", &Options::default()) else {
            return; // Not privileged.
        };
        let options = Options {
            filter: vec![NOTHING],
            ..Options::default()
        };
        let mut none = Capture::open("lo", &options).unwrap();
        let options = Options {
            snap_length: 20,
            ..Options::default()
        };
        let mut short = Capture::open("lo", &options).unwrap();
        assert_eq!((all.link_type(), short.snap_length()), (LinkType::Ethernet, 20));
        let (from, to) = (
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        from.send_to(b"a packet of this test", to.local_addr().unwrap())
            .unwrap();
        let found = async {
            loop {
                let packet = all.next().await.unwrap();
                if marked(&packet, b"a packet of this test") {
                    return packet;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), found).await.unwrap();
        assert_eq!(found.length as usize, found.bytes.len());
        assert!(SystemTime::now().duration_since(found.time).unwrap_or_default() < Duration::from_secs(60));
        // Not once for each way through the loopback.
        let again = std::iter::from_fn(|| all.try_next().unwrap()).any(|p| marked(&p, b"a packet of this test"));
        assert!(!again);
        let cut = tokio::time::timeout(Duration::from_secs(10), short.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(cut.bytes.len(), 20);
        assert!(cut.length > 20);
        assert_eq!(none.try_next().unwrap(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_captured_is_said() {
        let error = Capture::open("no-such-link", &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("no-such-link"), "{error}");
    }
}
