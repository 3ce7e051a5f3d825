//! Input, terminals, and roots that nothing is left of.

use std::time::Duration;

use sys::sandbox::{Child, ExitStatus, Input, Output, Root, SandboxSpec, Terminal, WindowSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::target::spec;

const LIMIT: Duration = Duration::from_secs(60);

fn block(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .unwrap()
        .block_on(async { tokio::time::timeout(LIMIT, work).await })
        .expect("it takes too long");
}

pub(crate) fn what_is_written_to_a_target_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let spec = SandboxSpec {
        stdin: Input::Pipe,
        stdout: Output::Pipe,
        ..spec("copy", folder.path())
    };
    block(async {
        let mut child = sys::sandbox::spawn(&spec).await.unwrap();
        let mut stdin = child.take_stdin().unwrap().unwrap();
        let mut stdout = child.take_stdout().unwrap().unwrap();
        assert!(child.take_stdin().unwrap().is_none());
        let sent = vec![b'x'; 300_000];
        let write = async {
            stdin.write_all(&sent).await.unwrap();
            drop(stdin);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(write, stdout.read_to_end(&mut got));
        read.unwrap();
        assert!(got == sent, "{} bytes came back", got.len());
        assert_eq!(child.wait().await.unwrap(), ExitStatus::Code(0));
    });
}

async fn shows(terminal: &Terminal, wanted: &str) {
    let mut text = String::new();
    let mut buffer = [0; 256];
    while !text.contains(wanted) {
        let read = terminal.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the terminal was closed; it showed {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

async fn end(mut child: Child, terminal: Terminal) -> ExitStatus {
    let status = child.wait().await.unwrap();
    let mut buffer = [0; 256];
    while terminal.read(&mut buffer).await.unwrap() > 0 {}
    status
}

pub(crate) fn a_target_with_a_terminal_knows_its_size_and_hears_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let size = |rows, columns| WindowSize { rows, columns };
    for pid in [true, false] {
        let mut spec = SandboxSpec {
            terminal: Some(size(30, 100)),
            ..spec("terminal", folder.path())
        };
        spec.namespaces.pid = pid;
        block(async {
            let mut child = sys::sandbox::spawn(&spec).await.unwrap();
            let terminal = child.take_terminal().unwrap().unwrap();
            shows(&terminal, "30 100").await;
            terminal.resize(size(41, 121)).unwrap();
            shows(&terminal, "41 121").await;
            terminal.write_all(b"typed\n").await.unwrap();
            shows(&terminal, "got typed").await;
            // Control and C: a signal, because this is the controlling terminal.
            terminal.write_all(b"\x03").await.unwrap();
            // PID 1 of a namespace takes no signal that it has no handler for; the probe has one.
            assert_eq!(end(child, terminal).await, ExitStatus::Code(9));
        });
    }
}

pub(crate) fn what_a_target_writes_to_a_scratch_root_is_gone_with_it() {
    let (folder, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("here"), "before").unwrap();
    let spec = SandboxSpec {
        root: Root::Scratch {
            lower: folder.path().into(),
            mountpoint: place.path().into(),
            size: 1 << 20,
        },
        ..spec("scribble", folder.path())
    };
    block(async {
        let mut child = sys::sandbox::spawn(&spec).await.unwrap();
        let mut text = String::new();
        let mut stdout = child.take_stdout().unwrap().unwrap();
        stdout.read_to_string(&mut text).await.unwrap();
        assert_eq!(child.wait().await.unwrap(), ExitStatus::Code(0), "{text}");
        assert!(text.contains("before then after"), "{text}");
        assert!(text.contains("StorageFull"), "{text}");
    });
    assert_eq!(std::fs::read_to_string(folder.path().join("here")).unwrap(), "before");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
