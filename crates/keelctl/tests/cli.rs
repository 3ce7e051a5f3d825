//! The built program, run as a person runs it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keelctl"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Standard error of a command that must end with exit code 1.
    fn bad(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        error
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }
}

const TALOSCONFIG: &str = include_str!("../../pki/tests/vectors/talosconfig");

#[test]
fn commands_that_are_not_built_say_so_and_fail() {
    let home = Home::new();
    for entry in keelctl::cli::pending::PENDING {
        let mut words: Vec<&str> = entry.name.split(' ').collect();
        words.extend(["argument", "--flag", "-x"]);
        assert_eq!(home.bad(&words), format!("\"{}\" is not implemented yet\n", entry.name));
    }
}

#[test]
fn mistakes_end_with_one_and_help_with_zero() {
    let home = Home::new();
    assert!(home.bad(&["reboot", "--dry"]).contains("unexpected argument '--dry'"));
    assert!(home.bad(&["containrs"]).contains("containers"));
    assert!(home.good(&["--help"]).contains("apply-config"));
    assert!(home.good(&["get", "--help"]).contains("--nodes"));
    assert!(home.good(&["completion", "bash"]).contains("keelctl"));
    assert!(
        home.bad(&["get", "members"]).contains("read "),
        "no client configuration"
    );
}

#[test]
fn output_into_a_closed_pipe_is_no_panic() {
    let home = Home::new();
    let mut child = home
        .command(&["docs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_client_configuration_is_edited_in_place() {
    let home = Home::new();
    home.write("demo", TALOSCONFIG);
    assert!(home.bad(&["config", "contexts"]).contains(".keelson/config"));
    home.good(&["config", "merge", "demo"]);
    assert_eq!(home.read(".keelson/config"), TALOSCONFIG);
    home.good(&["config", "endpoint", "10.5.0.2", "10.5.0.3"]);
    home.good(&["config", "nodes", "10.5.0.2"]);
    assert_eq!(
        home.good(&["config", "get-contexts"]),
        "CURRENT   NAME   ENDPOINTS           NODES\n*         demo   10.5.0.2,10.5.0.3   10.5.0.2\n"
    );
    let output = home.run(&["config", "merge", "demo"]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "renamed talosconfig context \"demo\" -> \"demo-1\"\n"
    );
    assert!(
        home.good(&["config", "info"])
            .starts_with("Current context:     demo-1\nNodes:               not defined\n")
    );
    assert!(
        home.good(&["config", "info", "--context", "demo"])
            .contains("10.5.0.2, 10.5.0.3")
    );
    home.good(&["config", "context", "demo"]);
    assert!(
        home.bad(&["config", "context", "nope"])
            .contains("it has: demo, demo-1")
    );
    assert!(home.bad(&["config", "remove", "demo-*"]).contains("--noconfirm"));
    home.good(&["config", "remove", "demo-*", "-y"]);
    assert!(!home.read(".keelson/config").contains("demo-1"));
    assert!(home.bad(&["config", "remove", "nope"]).contains("it has: demo"));
}

#[test]
fn talosconfig_names_the_file_and_the_flag_wins() {
    let home = Home::new();
    home.write("a", "context: a\ncontexts:\n    a:\n        endpoints: []\n");
    home.write("b", "context: b\ncontexts:\n    b:\n        endpoints: []\n");
    let output = home
        .command(&["config", "contexts"])
        .env("TALOSCONFIG", "a")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("*         a "));
    let output = home
        .command(&["--talosconfig", "b", "config", "contexts"])
        .env("TALOSCONFIG", "a")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("*         b "));
}

#[test]
fn keys_and_certificates_are_written_to_files() {
    let home = Home::new();
    home.good(&["gen", "ca", "--organization", "acme"]);
    home.good(&["gen", "key", "--name", "admin"]);
    home.good(&[
        "gen",
        "csr",
        "--key",
        "admin.key",
        "--ip",
        "10.5.0.2",
        "--roles",
        "os:admin,os:reader",
    ]);
    home.good(&["gen", "crt", "--ca", "acme", "--csr", "admin.csr", "--name", "admin"]);
    let info = pki::cert_info(home.read("admin.crt").as_bytes()).unwrap();
    assert_eq!(info.organizations, ["os:admin", "os:reader"]);
    assert_eq!(info.sans(), ["10.5.0.2"]);
    pki::CertAndKey {
        crt: home.read("admin.crt").into(),
        key: home.read("admin.key").into(),
    }
    .check()
    .unwrap();
    home.good(&["gen", "keypair", "--organization", "self"]);
    assert!(
        home.bad(&["gen", "key", "--name", "admin"])
            .contains("already exists, use --force")
    );
    home.good(&["gen", "key", "--name", "admin", "--force"]);
    assert!(
        home.bad(&["gen", "csr", "--key", "acme.crt"])
            .contains("no PEM block of a private key")
    );
    home.good(&[
        "config", "add", "acme", "--ca", "acme.crt", "--crt", "self.crt", "--key", "self.key",
    ]);
    assert!(
        home.bad(&["config", "add", "x", "--crt", "self.crt", "--key", "acme.key"])
            .contains("does not belong")
    );
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["acme.key", "admin.key", "self.key"] {
        let mode = std::fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
