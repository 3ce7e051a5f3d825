//! Sockets of the node and of its pods, from `/proc/PID/net` (proc(5)).
//!
//! A pod's sockets are read through one of its processes, so no thread has to change its network namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::proto::machine as proto;
use api::proto::machine::connect_record::{Process, State, TimerActive};
use api::proto::machine::netstat_request::{Filter, L4proto};
use api::reply::Reply;
use tonic::Status;

use super::containers;
use crate::node::Node;

/// The sockets that were asked for.
pub async fn netstat(node: &Node, request: proto::NetstatRequest) -> Result<proto::NetstatResponse, Status> {
    let wanted = request.netns.clone().unwrap_or(proto::netstat_request::NetNs {
        hostnetwork: true,
        ..Default::default()
    });
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    if wanted.allnetns || !wanted.netns.is_empty() {
        let pods = containers::pod_networks(node).await.map_err(super::internal)?;
        let missing: Vec<&str> = wanted
            .netns
            .iter()
            .map(String::as_str)
            .filter(|n| !pods.contains_key(*n))
            .collect();
        if !missing.is_empty() {
            let text = format!(
                "there is no network namespace {} here: `containers -k` lists the pods of a node",
                missing.join(", ")
            );
            return Err(Status::not_found(text));
        }
        let chosen = |name: &String| wanted.allnetns || wanted.netns.contains(name);
        places.extend(pods.into_iter().filter(|(name, _)| chosen(name)));
    }
    if wanted.hostnetwork || wanted.allnetns || places.is_empty() {
        places.insert(String::new(), std::process::id());
    }
    // Many small files of the kernel, and with processes the open files of every one of them.
    let records = tokio::task::spawn_blocking(move || collect(&places, &request)).await;
    let connectrecord = records.map_err(|e| super::internal(e.into()))?;
    Ok(proto::NetstatResponse::of(proto::Netstat {
        connectrecord,
        ..Default::default()
    }))
}

fn collect(places: &BTreeMap<String, u32>, request: &proto::NetstatRequest) -> Vec<proto::ConnectRecord> {
    let protocols = protocols(request.l4proto.as_ref());
    let mut records = Vec::new();
    for (netns, pid) in places {
        for protocol in &protocols {
            // A protocol that the kernel was built without has no table, a pod that just ended has none at all.
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{protocol}")).unwrap_or_default();
            let found = text.lines().skip(1).filter_map(|line| parse(protocol, line));
            records.extend(found.filter(|r| passes(r, request.filter())).map(|mut record| {
                record.netns.clone_from(netns);
                record
            }));
        }
    }
    if request.feature.is_some_and(|feature| feature.pid) {
        let inodes = records.iter().map(|r| r.inode).filter(|inode| *inode != 0).collect();
        let owners = owners(&inodes);
        for record in &mut records {
            record.process = owners.get(&record.inode).cloned();
        }
    }
    records
}

/// Names of the tables; asking for none asks for all.
fn protocols(wanted: Option<&L4proto>) -> Vec<&'static str> {
    let w = wanted.copied().unwrap_or_default();
    let all = [
        (w.tcp, "tcp"),
        (w.tcp6, "tcp6"),
        (w.udp, "udp"),
        (w.udp6, "udp6"),
        (w.udplite, "udplite"),
        (w.udplite6, "udplite6"),
        (w.raw, "raw"),
        (w.raw6, "raw6"),
    ];
    let some = all.iter().any(|(on, _)| *on);
    all.iter()
        .filter(|(on, _)| *on || !some)
        .map(|(_, name)| *name)
        .collect()
}

/// A socket that waits for anybody has no other end.
fn passes(record: &proto::ConnectRecord, filter: Filter) -> bool {
    let open = if record.l4proto.starts_with("tcp") {
        record.state() == State::Listen
    } else {
        record.state() == State::Close
    };
    match filter {
        Filter::All => true,
        Filter::Connected => !open,
        Filter::Listening => open,
    }
}

/// One line of a table: `sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode ref pointer`.
fn parse(protocol: &str, line: &str) -> Option<proto::ConnectRecord> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let pair = |field: usize| fields.get(field)?.split_once(':');
    let decimal = |field: usize| fields.get(field).and_then(|f| f.parse::<u64>().ok());
    let (local, local_port) = endpoint(pair(1)?)?;
    let (remote, remote_port) = endpoint(pair(2)?)?;
    let (transmit, receive) = pair(4)?;
    let (timer, when) = pair(5)?;
    let state = i32::try_from(hex(fields.get(3)?)?).ok()?;
    let timer = i32::try_from(hex(timer)?).ok()?;
    Some(proto::ConnectRecord {
        l4proto: protocol.to_owned(),
        localip: local.to_string(),
        localport: local_port,
        remoteip: remote.to_string(),
        remoteport: remote_port,
        // A newer kernel may know states that the interface has no number for.
        state: State::try_from(state).unwrap_or(State::Reserved).into(),
        txqueue: hex(transmit)?,
        rxqueue: hex(receive)?,
        tr: TimerActive::try_from(timer).unwrap_or(TimerActive::Off).into(),
        timerwhen: hex(when)?,
        retrnsmt: hex(fields.get(6)?)?,
        uid: u32::try_from(decimal(7)?).ok()?,
        timeout: decimal(8)?,
        inode: decimal(9)?,
        r#ref: decimal(10).unwrap_or_default(),
        pointer: fields.get(11).and_then(|f| hex(f)).unwrap_or_default(),
        ..Default::default()
    })
}

/// Addresses are words of 32 bits in the machine's byte order; the port is a number.
fn endpoint((address, port): (&str, &str)) -> Option<(IpAddr, u32)> {
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        Some(word.to_ne_bytes())
    });
    let words: Vec<[u8; 4]> = words.collect::<Option<_>>()?;
    let address = match &words[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        [_, _, _, _] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?)),
        _ => return None,
    };
    Some((address, u32::from_str_radix(port, 16).ok()?))
}

/// Which process has which socket open; of several, the one with the lowest number.
fn owners(inodes: &BTreeSet<u64>) -> BTreeMap<u64, Process> {
    let mut owners = BTreeMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes.filter_map(|p| p.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten();
        for file in files {
            let Ok(target) = std::fs::read_link(file.path()) else {
                continue;
            };
            let Some(inode) = target.to_str().and_then(socket) else {
                continue;
            };
            if !inodes.contains(&inode) {
                continue;
            }
            owners.entry(inode).or_insert_with(|| Process { pid, name: name(pid) });
        }
    }
    owners
}

/// `socket:[INODE]`
fn socket(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The name of a program; the kernel's short name (at most 15 bytes) where there is no program to ask.
fn name(pid: u32) -> String {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let program = program.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let short = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    program.unwrap_or_else(|| short().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   1: 0100007F:1D15 00000000:0000 0A 00000001:0000000F 02:00000AB7 00000003     50        7 13570 2 ffff8880 100";
        let record = parse("tcp", line).unwrap();
        assert_eq!((record.localip.as_str(), record.localport), ("127.0.0.1", 7445));
        assert_eq!((record.remoteip.as_str(), record.remoteport), ("0.0.0.0", 0));
        assert_eq!(record.state(), State::Listen);
        assert_eq!((record.txqueue, record.rxqueue), (1, 15));
        assert_eq!(
            (record.tr(), record.timerwhen, record.retrnsmt),
            (TimerActive::Keepalive, 0xab7, 3)
        );
        assert_eq!(
            (record.uid, record.timeout, record.inode, record.r#ref),
            (50, 7, 13570, 2)
        );
        assert_eq!(record.pointer, 0xffff_8880);
        let line = "  0: 0000000000000000FFFF00000100007F:C351 B80D0120000000000000000001000000:01BB 01 00000000:00000000 00:00000000 00000000 0 0 5 1 0";
        let record = parse("tcp6", line).unwrap();
        assert_eq!((record.localip.as_str(), record.localport), ("::ffff:127.0.0.1", 50001));
        assert_eq!((record.remoteip.as_str(), record.remoteport), ("2001:db8::1", 443));
        assert_eq!(parse("tcp", "  sl  local_address rem_address   st"), None);
        assert_eq!(socket("socket:[13570]"), Some(13570));
    }

    #[test]
    fn listening_means_waiting_for_anybody() {
        let record = |l4proto: &str, state: State| proto::ConnectRecord {
            l4proto: l4proto.into(),
            state: state.into(),
            ..Default::default()
        };
        assert!(passes(&record("tcp6", State::Listen), Filter::Listening));
        assert!(!passes(&record("tcp", State::TimeWait), Filter::Listening));
        assert!(passes(&record("udp", State::Close), Filter::Listening));
        assert!(passes(&record("udp", State::Established), Filter::Connected));
        assert!(!passes(&record("tcp", State::Listen), Filter::Connected));
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        let request = proto::NetstatRequest {
            feature: Some(proto::netstat_request::Feature { pid: true }),
            l4proto: Some(L4proto {
                tcp: true,
                ..Default::default()
            }),
            filter: Filter::Listening.into(),
            ..Default::default()
        };
        let places = BTreeMap::from([(String::new(), std::process::id())]);
        let records = collect(&places, &request);
        let ours = records.iter().find(|r| r.localport == port).unwrap();
        assert_eq!(ours.process.as_ref().unwrap().pid, std::process::id());
        assert!(records.iter().all(|r| r.l4proto == "tcp"));
    }
}
