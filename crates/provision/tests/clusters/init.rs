//! The node's side: what this test does as `/sbin/init` of a node.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use crate::API;
use crate::world::ask_at;

pub(crate) fn run() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut term =
        runtime.block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap() });
    if std::env::args().nth(1).as_deref() == Some("fail") {
        eprintln!("no such luck");
        std::process::exit(3);
    }
    println!("init speaks");
    std::thread::spawn(|| {
        let listener = TcpListener::bind(("0.0.0.0", API)).unwrap();
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    runtime.block_on(term.recv());
    println!("asked to stop");
    std::fs::write("/var/stopped", "in order").unwrap();
    std::process::exit(0);
}

fn serve(mut stream: TcpStream) {
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap())
        .read_line(&mut line)
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| error.kind().to_string());
    let answer = match words[..] {
        ["exit", code] => {
            stream.write_all(b"bye").unwrap();
            drop(stream);
            std::process::exit(code.parse().unwrap());
        }
        ["read", path] => read(path),
        ["env", name] => std::env::var(name).unwrap_or_default(),
        ["list", path] => {
            let mut names: Vec<String> = std::fs::read_dir(path)
                .map(|list| {
                    list.flatten()
                        .map(|entry| entry.file_name().to_string_lossy().into_owned())
                        .collect()
                })
                .unwrap_or_default();
            names.sort();
            names.join(" ")
        }
        ["write", path, text] => format!("{:?}", std::fs::write(path, text).map_err(|error| error.kind())),
        ["host"] => sys::host::hostname(),
        ["processes"] => sys::process::list().unwrap().len().to_string(),
        ["mounts"] => sys::mount::list()
            .unwrap()
            .iter()
            .map(|mount| format!("{}\n", mount.target.display()))
            .collect(),
        ["ask", address, "host"] => ask_at(address.parse().unwrap(), "host").unwrap_or_else(|error| error.to_string()),
        ["eat", mebibytes] => {
            // In a child, so that running out of memory does not end PID 1.
            let status = std::process::Command::new("/proc/self/exe")
                .env("EAT", mebibytes)
                .status();
            status.map(|status| status.to_string()).unwrap_or_default()
        }
        _ => format!("no such question: {line}"),
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// Part of the program that runs before `main` looks at anything else: eat memory and say it went well.
pub(crate) fn eat_if_asked() {
    if let Ok(mebibytes) = std::env::var("EAT") {
        let eaten = vec![1u8; mebibytes.parse::<usize>().unwrap() << 20];
        std::process::exit(i32::from(eaten.iter().map(|byte| u64::from(*byte)).sum::<u64>() == 0));
    }
}
