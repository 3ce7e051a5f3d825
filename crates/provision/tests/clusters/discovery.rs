//! The discovery service of a cluster. This program stands in for it: it listens, and tells its process number.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use provision::Phase;
use sys::process::Identity;

use crate::world::{World, ask_at, wait_until};

/// Becomes the service if it was started as one.
pub(crate) fn serve_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        let place = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(place + 1)
    };
    let (Some(listen), Some(page), Some(state)) = (value("--listen"), value("--http-listen"), value("--state")) else {
        return;
    };
    let listener = TcpListener::bind(listen).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut question = String::new();
        BufReader::new(&stream).read_line(&mut question).unwrap();
        // Whoever only looks whether somebody listens is gone by now.
        let _ = write!(stream, "{} {page} {state}", std::process::id());
    }
}

fn service() -> SocketAddr {
    "10.250.1.1:3000".parse().unwrap()
}

fn pid() -> Option<i32> {
    ask_at(service(), "who").ok()?.split(' ').next()?.parse().ok()
}

pub(crate) fn the_discovery_service_is_started_again_and_ends_with_the_gateway(world: &World) {
    let mut plan = world.plan("demo", 1, 1, 0);
    plan.options.discovery = Some(std::env::current_exe().unwrap());
    let cluster = world.create(plan);
    assert_eq!(cluster.discovery.as_deref(), Some("http://10.250.1.1:3000"));
    let told = ask_at(service(), "who").unwrap();
    let state = cluster.folder.join("discovery");
    assert!(
        told.ends_with(&format!(" 10.250.1.1:3001 {}", state.display())),
        "{told}"
    );

    let first = pid().unwrap();
    sys::process::kill(first, libc::SIGKILL).unwrap();
    wait_until("another process", || pid().is_some_and(|now| now != first));
    let log = std::fs::read_to_string(cluster.folder.join("discovery.log")).unwrap();
    assert!(log.contains("starting again"), "{log}");

    let second = Identity::of(pid().unwrap()).unwrap();
    let gateway = Identity::of(cluster.gateway_status.unwrap().supervisor.unwrap()).unwrap();
    assert!(gateway.signal(libc::SIGKILL).unwrap());
    assert!(second.wait_ended(Duration::from_secs(20)).unwrap());
    world.destroy("demo");
}

pub(crate) fn a_discovery_service_that_does_not_start_fails_the_creation(world: &World) {
    let mut plan = world.plan("broken", 1, 1, 0);
    plan.options.discovery = Some("/bin/false".into());
    let error = world
        .block_on(provision::create(plan, &|_| ()))
        .unwrap_err()
        .to_string();
    assert!(error.contains("the discovery service did not start"), "{error}");
    assert_eq!(world.show("broken").gateway_status.unwrap().phase, Phase::Failed);
    world.destroy("broken");
}
