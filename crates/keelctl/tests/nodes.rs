//! Commands that talk to nodes, against a server over real mutual TLS.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use pki::clientconfig::{ClientConfig, Context};
use support::{BOOTSTRAPPED, BROKEN, SHORT, SNAPSHOT, Server};

struct Client {
    home: tempfile::TempDir,
    server: Server,
}

impl Client {
    fn new(mutual: bool) -> Self {
        let (home, server) = (tempfile::tempdir().unwrap(), Server::start(mutual));
        let context = Context {
            endpoints: vec![server.address.to_string()],
            nodes: vec!["127.0.0.1".into()],
            ca: server.authority.certificate().to_vec(),
            crt: server.admin.crt.clone(),
            key: server.admin.key.clone(),
            ..Context::default()
        };
        let config = ClientConfig {
            context: "demo".into(),
            contexts: BTreeMap::from([("demo".into(), context)]),
        };
        let path = home.path().join(".talos/config");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(path, config.encode().unwrap().expose()).unwrap();
        Self { home, server }
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keelctl"));
        command
            .args(line.split(' '))
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Standard output, standard error and exit code.
    fn told(&self, line: &str) -> (String, String, i32) {
        let output = self.run(line);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }

    fn good(&self, line: &str) -> String {
        let (out, error, code) = self.told(line);
        assert_eq!(code, 0, "{line}: {error}");
        out
    }
}

/// What talosctl printed, with its exit code as the last line.
fn captured(name: &str) -> String {
    let path = format!("{}/tests/vectors/cli/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap()
}

#[test]
fn get_prints_what_the_peer_printed() {
    let client = Client::new(true);
    assert_eq!(client.good("get services") + "exit 0\n", captured("get_services"));
    assert_eq!(
        client.good("get svc apid -o json") + "exit 0\n",
        captured("get_services_apid_-o_json")
    );
    let (out, error, code) = client.told("get nope");
    assert_eq!((out.as_str(), code), ("", 1));
    assert_eq!(error + "exit 1\n", captured("get_nope"));
}

#[test]
fn get_fills_in_templates_and_writes_documents() {
    let client = Client::new(true);
    assert_eq!(
        client.good("get svc -o jsonpath={.metadata.id}"),
        "apid\ncontainerd\ncri\nmachined\ntrustd\n"
    );
    let yaml = client.good("get Service apid cri -o yaml");
    assert!(
        yaml.starts_with("node: 127.0.0.1\nmetadata:\n    namespace: runtime\n"),
        "{yaml}"
    );
    assert_eq!(yaml.matches("\n---\n").count(), 1);
    let (_, error, code) = client.told("get services nothing");
    assert!(error.contains("doesn't exist") && code == 1, "{error}");
    let (_, error, _) = client.told("get servces");
    assert!(
        error.ends_with("did you mean \"services\"? `get rd` lists all types\n"),
        "{error}"
    );
    let (_, error, _) = client.told("get services -o xml");
    assert!(error.contains("\"xml\" is not known"), "{error}");
}

#[test]
fn a_watch_marks_changes_and_ends_with_its_stream() {
    let client = Client::new(true);
    let out = client.good("get services -w");
    let marks: Vec<&str> = out.lines().map(|line| &line[12..13]).collect();
    assert_eq!(marks, ["*", "+", " ", "-"], "{out}");
    let yaml = client.good("get services -w -o yaml");
    assert!(
        yaml.starts_with("node: 127.0.0.1\nevent: created\nmetadata:\n"),
        "{yaml}"
    );
}

#[test]
fn a_failing_node_does_not_hide_the_others() {
    let client = Client::new(true);
    let (out, error, code) = client.told(&format!("version -n 10.5.0.2,{BROKEN} -n 10.5.0.3"));
    assert_eq!(code, 1);
    assert!(
        out.contains("NODE:        10.5.0.2\n\tTag:         v-10.5.0.2\n"),
        "{out}"
    );
    assert!(out.contains("NODE:        10.5.0.3\n"), "{out}");
    assert!(
        error.contains(&format!(
            "\t* {BROKEN}: rpc error: code = Unavailable desc = connection refused"
        )),
        "{error}"
    );
    let (out, error, code) = client.told(&format!("-n 10.5.0.2,{BROKEN} get services -o jsonpath={{.node}}"));
    assert_eq!((out.lines().count(), code), (5, 1));
    assert!(error.contains("1 error occurred"), "{error}");
}

#[test]
fn lines_of_logs_carry_their_node() {
    let client = Client::new(true);
    let out = client.good("logs kubelet -n 10.5.0.2");
    assert_eq!(out, "10.5.0.2: kubelet one\n10.5.0.2: kubelet two of 10.5.0.2\n");
    let (out, _, code) = client.told(&format!("logs kubelet -n {BROKEN},10.5.0.3"));
    assert_eq!((out.lines().count(), code), (2, 1));
}

#[test]
fn the_kubeconfig_is_printed_written_and_merged() {
    let client = Client::new(true);
    assert!(client.good("kubeconfig -").contains("https://10.5.0.2:6443"));
    client.good("kubeconfig");
    let file = client.home.path().join(".kube/config");
    let first = std::fs::read_to_string(&file).unwrap();
    client.good("kubeconfig");
    let again: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(again["contexts"].as_array().unwrap().len(), 1);
    let (_, error, code) = client.told("kubeconfig --merge=false");
    assert!(error.contains("already exists, use --force") && code == 1, "{error}");
    client.good("kubeconfig --merge=false --force");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), first);
    client.good("kubeconfig other --force-context-name mine");
    assert!(
        std::fs::read_to_string(client.home.path().join("other"))
            .unwrap()
            .contains("current-context: mine")
    );
    let (_, error, _) = client.told("kubeconfig -n a,b");
    assert!(error.contains("not supported with multiple nodes"), "{error}");
}

#[test]
fn a_configuration_is_applied_without_client_certificate_in_maintenance() {
    let client = Client::new(false);
    std::fs::write(client.home.path().join("config.yaml"), "version: v1alpha1\n").unwrap();
    let node = client.server.address;
    let (_, error, code) = client.told(&format!("apply-config -i -n {node} -f config.yaml"));
    assert_eq!(
        (error.as_str(), code),
        (
            "warning: 18 bytes, 1 lines\nApplied configuration without a reboot\n",
            0
        )
    );
    let (_, error, code) = client.told(&format!(
        "apply -i -n {node} -f config.yaml --cert-fingerprint {}",
        "0".repeat(64)
    ));
    assert!(error.contains("has the fingerprint") && code == 1, "{error}");
    assert!(client.good(&format!("version -i -n {node}")).contains("Server:"));
    assert!(client.good(&format!("get -i svc -n {node}")).contains("apid"));
}

#[test]
fn an_action_that_is_refused_fails_at_once() {
    let client = Client::new(true);
    let (_, error, code) = client.told("reboot");
    assert!(
        error.contains("FailedPrecondition desc = locked") && code == 1,
        "{error}"
    );
}

#[test]
fn the_configuration_of_a_node_is_patched_and_edited_in_place() {
    let client = Client::new(true);
    let (_, error, code) = client.told("patch machineconfig -p {\"machine\":{\"sysctls\":{\"a\":\"1\"}}}");
    assert!(
        error.contains("patched MachineConfigs.config.talos.dev/v1alpha1 at the node 127.0.0.1"),
        "{error}"
    );
    assert!(error.contains(" 5 lines") && code == 0, "{error}");
    let (_, error, code) = client.told("patch mc -p {\"machine\":{\"sysctl\":{}}}");
    assert!(error.contains("sysctls") && code == 1, "{error}");
    let (_, error, code) = client.told("patch service -p x");
    assert!(error.contains("only machineconfig can") && code == 1, "{error}");

    let edit = |script: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keelctl"));
        command
            .args(["edit", "mc"])
            .env_clear()
            .env("HOME", client.home.path())
            .env("PATH", std::env::var("PATH").unwrap());
        let output = command.env("EDITOR", script).stdin(Stdio::null()).output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code().unwrap())
    };
    assert_eq!(edit("true"), ("127.0.0.1: nothing was changed\n".into(), 0));
    let (error, code) = edit("sed -i s/worker/controlplane/");
    assert!(error.contains("3 lines") && code == 0, "{error}");
    let (error, code) = edit("sed -i s/type:/typ:/");
    assert!(
        error.contains("still wrong") && error.contains("typ") && code == 1,
        "{error}"
    );
}

#[test]
fn a_snapshot_takes_its_place_only_when_it_is_whole() {
    let client = Client::new(true);
    let file = client.home.path().join("db");
    std::fs::write(&file, "old").unwrap();
    let (_, error, code) = client.told(&format!("-n {SHORT} etcd snapshot db"));
    assert_eq!(code, 1);
    assert!(
        error.contains("SHA-256 is missing") && error.contains("nothing was saved"),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"old");
    let out = client.good("etcd snapshot db");
    let expected = "etcd snapshot saved to \"db\" (45088 bytes)\n\
                    snapshot info: hash 95096e4c, revision 153, total keys 150, total size 45056\n";
    assert_eq!(out, expected);
    assert_eq!(std::fs::read(&file).unwrap(), SNAPSHOT);
    let names: Vec<_> = std::fs::read_dir(client.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("part"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    let (_, error, code) = client.told("-n a,b etcd snapshot db");
    assert!(code == 1 && error.contains("multiple nodes"), "{error}");
}

#[test]
fn a_snapshot_is_checked_before_it_is_sent_and_arrives_as_it_is() {
    let client = Client::new(true);
    std::fs::write(client.home.path().join("good"), SNAPSHOT).unwrap();
    client.good("bootstrap --recover-from good");
    let (_, error, code) = client.told(&format!("-n {BOOTSTRAPPED} bootstrap --recover-from good"));
    assert!(code == 1 && error.contains("AlreadyExists"), "{error}");
    let mut broken = SNAPSHOT.to_vec();
    broken[5000] ^= 1;
    std::fs::write(client.home.path().join("broken"), broken).unwrap();
    let (_, error, code) = client.told("bootstrap --recover-from broken");
    assert_eq!(code, 1);
    assert!(
        error.contains("nothing was changed") && error.contains("SHA-256 is wrong"),
        "{error}"
    );
}

#[test]
fn members_are_defragmented_one_after_the_other() {
    let client = Client::new(true);
    let (_, error, code) = client.told(&format!("-n {BROKEN},a,b etcd defrag"));
    assert_eq!(code, 1);
    assert!(
        error.contains("a: defragmented, 20 MB before and 20 MB now\nb: defragmented"),
        "{error}"
    );
    assert!(error.contains("10.5.0.9: rpc error: code = Unavailable"), "{error}");
    // One that may be busy still keeps the others from following.
    let (_, error, code) = client.told(&format!("-n {SHORT},b etcd defrag"));
    assert!(code == 1 && error.contains("b: rpc error: code = Aborted"), "{error}");
    assert!(!error.contains("b: defragmented"), "{error}");
}

#[test]
fn alarms_of_a_node_that_fails_do_not_hide_others() {
    let client = Client::new(true);
    let (out, error, code) = client.told(&format!("-n {BROKEN},10.5.0.2 etcd alarm list"));
    assert_eq!(
        out,
        "NODE       MEMBER             ALARM\n10.5.0.2   000000000000001f   NOSPACE\n"
    );
    assert!(code == 1 && error.contains("10.5.0.9: rpc error"), "{error}");
}
