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
fn an_image_build_without_its_parts_says_where_they_come_from() {
    let home = Home::new();
    let error = home.bad(&["image", "build"]);
    assert!(
        error.contains("there is no folder distro") && error.contains("--distro"),
        "{error}"
    );
    let distro = concat!(env!("CARGO_MANIFEST_DIR"), "/../../distro");
    let error = home.bad(&["image", "build", "--distro", distro, "--programs", "."]);
    assert!(
        error.contains("./machined") && error.contains("cargo xtask dist"),
        "{error}"
    );
    // Without the option they are looked for beside the program.
    let error = home.bad(&["image", "build", "--distro", distro]);
    assert!(error.contains("/programs/machined"), "{error}");
}

#[test]
fn mistakes_end_with_one_and_help_with_zero() {
    let home = Home::new();
    assert!(home.bad(&["reboot", "--dry"]).contains("unexpected argument '--dry'"));
    assert!(home.bad(&["containrs"]).contains("containers"));
    assert!(home.good(&["--help"]).contains("apply-config"));
    assert!(home.good(&["get", "--help"]).contains("--nodes"));
    assert!(home.good(&["completion", "bash"]).contains("keelctl"));
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
    home.good(&["config", "endpoint", "--context", "demo", "10.5.0.2", "10.5.0.3"]);
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
fn without_a_client_configuration_it_is_told_once_where_it_was_looked_for_and_what_writes_one() {
    let home = Home::new();
    let usual = home.path().join(".keelson/config").display().to_string();
    for (arguments, file) in [
        (&["version"][..], usual.as_str()),
        (&["config", "contexts"], usual.as_str()),
        (
            &["--talosconfig", "absent", "-n", "10.5.0.2", "get", "members"],
            "absent",
        ),
    ] {
        let error = home.bad(arguments);
        assert!(!error.contains("No such file"), "{arguments:?}: {error}");
        let told = format!("there is no client configuration {file}: ");
        for part in [
            told.as_str(),
            "`keelctl cluster create`",
            "`keelctl gen config`",
            "--talosconfig FILE",
        ] {
            assert_eq!(error.matches(part).count(), 1, "{arguments:?}: {part:?} in {error}");
        }
    }
    let error = home.bad(&["config", "merge", "absent"]);
    assert_eq!(
        error.matches("there is no client configuration absent").count(),
        1,
        "{error}"
    );
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

#[test]
fn generated_configurations_come_back_the_same_from_the_same_secrets() {
    let home = Home::new();
    home.good(&["gen", "secrets"]);
    let gen_config = |extra: &[&str]| {
        let mut words = vec![
            "gen",
            "config",
            "demo",
            "https://10.5.0.2:6443",
            "--with-secrets",
            "secrets.yaml",
        ];
        words.extend(extra);
        home.run(&words)
    };
    assert!(gen_config(&[]).status.success());
    let first = home.read("controlplane.yaml");
    assert!(first.contains("https://10.5.0.2:6443") && home.read("worker.yaml").contains("type: worker"));
    let error = String::from_utf8(gen_config(&[]).stderr).unwrap();
    assert!(
        error.contains("file \"controlplane.yaml\" already exists, use --force to overwrite"),
        "{error}"
    );
    assert!(gen_config(&["-o", "other"]).status.success());
    assert_eq!(home.read("other/controlplane.yaml"), first);
    let output = gen_config(&["-t", "worker", "-o", "-"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), home.read("worker.yaml"));
    home.good(&[
        "gen",
        "secrets",
        "--from-controlplane-config",
        "controlplane.yaml",
        "-o",
        "again.yaml",
    ]);
    assert_eq!(home.read("again.yaml"), home.read("secrets.yaml"));
    assert!(
        home.good(&["--talosconfig", "talosconfig", "config", "info"])
            .contains("os:admin")
    );
    home.good(&[
        "mc",
        "gen",
        "demo",
        "https://h:6443",
        "-o",
        "mc",
        "--with-docs=false",
        "--with-examples=false",
    ]);
    assert!(
        home.bad(&["gen", "config", "demo", "http://10.5.0.2:6443"])
            .contains("https")
    );
    assert!(
        home.bad(&["gen", "config", "demo", "https://h:6443", "-t", "nope"])
            .contains("\"nope\" is not known")
    );
}

#[test]
fn patches_change_files_in_their_order() {
    let home = Home::new();
    home.good(&["gen", "config", "demo", "https://10.5.0.2:6443"]);
    home.write("patch.yaml", "machine:\n  sysctls:\n    a: \"1\"\n");
    let inline = r#"{"machine": {"sysctls": {"a": "2", "b": "3"}}}"#;
    let patched = home.good(&[
        "machineconfig",
        "patch",
        "worker.yaml",
        "-p",
        "@patch.yaml",
        "-p",
        inline,
    ]);
    assert!(
        patched.contains("a: \"2\"") && patched.contains("b: \"3\""),
        "{patched}"
    );
    // What begins with a hyphen is a patch too: lists and documents of YAML do.
    let document = "---\nmachine:\n  sysctls:\n    d: \"5\"\n";
    assert!(
        home.good(&["mc", "patch", "worker.yaml", "-p", document])
            .contains("d: \"5\"")
    );
    let list = "- {op: add, path: /machine/sysctls, value: {}}";
    let error = home.bad(&["mc", "patch", "worker.yaml", "-p", list]);
    assert!(
        error.contains("JSON patches work on the main document alone"),
        "{error}"
    );
    home.good(&["mc", "patch", "worker.yaml", "-p", inline, "-o", "patched.yaml"]);
    assert!(home.read("patched.yaml").contains("b: \"3\""));
    let error = home.bad(&["mc", "patch", "worker.yaml", "-p", r#"{"machine": {"sysctl": {}}}"#]);
    assert!(error.contains("sysctls"), "the right name is suggested: {error}");
    assert!(
        home.bad(&["mc", "patch", "nope.yaml", "-p", inline])
            .contains("there is no machine configuration nope.yaml")
    );
}

#[test]
fn an_unreachable_node_is_an_error_that_names_it() {
    let home = Home::new();
    home.good(&["gen", "config", "demo", "https://127.0.0.1:6443"]);
    let base = ["--talosconfig", "talosconfig"];
    let error = home.bad(&[base[0], base[1], "version"]);
    assert!(error.contains("nodes are not set for the command"), "{error}");
    let error = home.bad(&[base[0], base[1], "-e", "127.0.0.1:1", "-n", "10.5.0.9", "service"]);
    assert!(
        error.contains("1 error occurred:\n\t* 10.5.0.9: rpc error: code = Unavailable"),
        "{error}"
    );
    let error = home.bad(&[
        "apply-config",
        "--insecure",
        "-n",
        "127.0.0.1:1",
        "-f",
        "worker.yaml",
        "--cert-fingerprint",
        "x",
    ]);
    assert!(error.contains("fingerprint \"x\""), "{error}");
}

#[test]
fn an_expired_client_certificate_is_told_before_anything_is_sent() {
    let home = Home::new();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86400);
    let authority = pki::Authority::new_os(long_ago).unwrap();
    let request = pki::Request::client(pki::KeyKind::Ed25519, "", &["os:admin"], long_ago)
        .with_ttl(std::time::Duration::from_secs(86400));
    let admin = authority.sign(&request).unwrap();
    home.write("ca", std::str::from_utf8(authority.certificate()).unwrap());
    home.write("crt", std::str::from_utf8(&admin.crt).unwrap());
    home.write("key", admin.key.expose_str().unwrap());
    home.good(&["config", "add", "old", "--ca", "ca", "--crt", "crt", "--key", "key"]);
    let error = home.bad(&["version", "-n", "10.5.0.9"]);
    assert!(error.contains("the client certificate expired 2 days ago"), "{error}");
}

#[test]
fn wrong_configurations_are_refused_with_their_place() {
    let home = Home::new();
    let validate = |text: &str, mode: &str| {
        home.write("c.yaml", text);
        home.bad(&["validate", "-c", "c.yaml", "-m", mode])
    };
    assert_eq!(validate("", "metal"), "c.yaml is not valid: it is empty\n");
    let error = validate("version: v1alpha1\nmachine:\n  typ: worker\n", "metal");
    assert!(
        error.contains("machine.typ (line 3)") && error.contains("type"),
        "{error}"
    );
    let error = validate("version: v1alpha1\nmachine:\n  type: worker\n", "container");
    assert!(
        error.starts_with("c.yaml is not valid for container mode: ") && error.contains("machine.token"),
        "{error}"
    );
    assert!(validate("version: v1alpha1\n", "nope").contains("metal, cloud or container"));
    home.good(&["gen", "config", "demo", "https://10.5.0.2:6443"]);
    for mode in ["metal", "cloud", "container"] {
        assert!(
            home.good(&["validate", "-c", "worker.yaml", "-m", mode])
                .contains("is valid for")
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_it_was_read_for_and_what_to_do() {
    let home = Home::new();
    std::fs::write(home.path().join("binary"), b"\x7fELF\xff\xfe\x00").unwrap();
    home.write("talosconfig", TALOSCONFIG);
    home.good(&["gen", "config", "demo", "https://10.5.0.2:6443", "-t", "worker"]);
    let node = ["--talosconfig", "talosconfig", "-n", "127.0.0.1"];
    let missing: &[(&[&str], &str, &str)] = &[
        (
            &["validate", "-m", "metal", "-c", "none"],
            "machine configuration",
            "gen config",
        ),
        (&["apply-config", "-f", "none"], "machine configuration", "gen config"),
        (
            &["apply-config", "-f", "worker.yaml", "-p", "@none"],
            "patch of a machine configuration",
            "without the @",
        ),
        (
            &["patch", "mc", "--patch-file", "none"],
            "patch of a machine configuration",
            "--patch",
        ),
        (
            &["machineconfig", "patch", "none", "-p", "{}"],
            "machine configuration",
            "gen config",
        ),
        (
            &[
                "gen",
                "config",
                "a",
                "https://b:6443",
                "--with-secrets",
                "none",
                "-o",
                "new",
            ],
            "secrets bundle",
            "gen secrets",
        ),
        (
            &["gen", "secrets", "--from-kubernetes-pki", "none", "-o", "-"],
            "file of Kubernetes' keys",
            "kubeadm",
        ),
        (&["gen", "csr", "--key", "none"], "private key", "gen key"),
        (&["config", "merge", "none"], "client configuration", "gen config"),
        (&["config", "add", "x", "--ca", "none"], "certificate", "gen ca"),
        (
            &["inject", "serviceaccount", "-f", "none"],
            "file of Kubernetes manifests",
            "standard input",
        ),
        (&["cgroups", "--schema-file", "none"], "file of columns", "--preset"),
        (
            &["bootstrap", "--recover-from", "none"],
            "snapshot of etcd",
            "etcd snapshot",
        ),
        (&["image", "import", "none"], "archive of an image", "docker save"),
    ];
    for (arguments, kind, advice) in missing {
        let reaches_nodes = !["gen", "validate", "machineconfig", "inject"].contains(&arguments[0]);
        let arguments = [*arguments, if reaches_nodes { &node[..] } else { &[] }].concat();
        let error = home.bad(&arguments);
        assert!(
            error.contains(&format!("there is no {kind} none")),
            "{arguments:?}: {error}"
        );
        assert!(
            error.contains("check the name") && error.contains(advice),
            "{arguments:?}: {error}"
        );
    }
    let binary: &[(&[&str], &str)] = &[
        (&["apply-config", "-f", "binary"], "so it is no machine configuration"),
        (
            &["validate", "-m", "metal", "-c", "binary"],
            "so it is no machine configuration",
        ),
        (
            &["apply-config", "-f", "worker.yaml", "-p", "@binary"],
            "so it is no patch",
        ),
        (&["patch", "mc", "--patch-file", "binary"], "so it is no patch"),
        (
            &["inject", "serviceaccount", "-f", "binary"],
            "so it is no file of Kubernetes manifests",
        ),
        (
            &["version", "-n", "127.0.0.1", "--talosconfig", "binary"],
            "--talosconfig FILE",
        ),
        (
            &["config", "merge", "binary"],
            "client configuration binary: this is not text",
        ),
        (
            &["apply-config", "-f", "."],
            ". is a folder, not a machine configuration",
        ),
    ];
    for (arguments, words) in binary {
        let reaches_nodes = ["apply-config", "patch"].contains(&arguments[0]);
        let arguments = [*arguments, if reaches_nodes { &node[..] } else { &[] }].concat();
        let error = home.bad(&arguments);
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(!error.contains("stream did not contain"), "{arguments:?}: {error}");
    }
}

#[test]
fn secure_boot_has_its_keys_and_what_makes_firmware_trust_them() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::new();
    let mode = |name: &str| std::fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777;
    home.good(&["gen", "secureboot", "uki", "--common-name", "Ours"]);
    home.good(&["gen", "secureboot", "pcr"]);
    let pair = pki::CertAndKey {
        crt: home.read("_out/uki-signing-cert.pem").into(),
        key: home.read("_out/uki-signing-key.pem").into(),
    };
    assert!(pair.check().unwrap().is_rsa());
    assert_eq!(pki::cert_info(&pair.crt).unwrap().common_name, "Ours");
    assert!(pki::is_issued_by(&pair.crt, &pair.crt).unwrap());
    let der = std::fs::read(home.path().join("_out/uki-signing-cert.der")).unwrap();
    assert_eq!(pki::pem::certificates(&pair.crt).unwrap(), std::slice::from_ref(&der));
    let pcr = pki::PrivateKey::from_pem(home.read("_out/pcr-signing-key.pem").as_bytes()).unwrap();
    assert!(pcr.is_rsa());
    for key in ["_out/uki-signing-key.pem", "_out/pcr-signing-key.pem"] {
        assert_eq!(mode(key), 0o600, "{key}");
    }
    for action in ["uki", "pcr"] {
        let told = home.bad(&["gen", "secureboot", action]);
        assert!(told.contains("already exists, use --force to overwrite"), "{told}");
    }
    assert_eq!(home.read("_out/uki-signing-key.pem").as_bytes(), pair.key.expose());

    // Others than the first are trusted for starting programs, and for nothing else.
    home.good(&["gen", "keypair", "--organization", "other"]);
    home.write(
        "both.pem",
        &[home.read("_out/uki-signing-cert.pem"), home.read("other.crt")].concat(),
    );
    let enrolled = ["gen", "secureboot", "database", "--enrolled-certificate", "both.pem"];
    let output = home.run(&enrolled);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !told.contains("Note"), "{told}");
    let other = pki::pem::certificates(home.read("other.crt").as_bytes())
        .unwrap()
        .remove(0);
    for (name, rest) in [("db", Some(&other)), ("KEK", None), ("PK", None)] {
        let file = std::fs::read(home.path().join(format!("_out/{name}.auth"))).unwrap();
        // Lists end with their certificate, and have 44 bytes before it.
        let rest = rest.map_or(0, |other| 44 + other.len());
        let (first, rest) = file.split_at(file.len() - rest);
        assert!(first.ends_with(&der), "{name}");
        assert!(rest.is_empty() || rest.ends_with(&other), "{name}");
    }
    let told = home.bad(&enrolled);
    assert!(told.contains("already exists, use --force"), "{told}");
}

#[test]
fn secure_boot_refuses_what_firmware_would() {
    let home = Home::new();
    let told = home.bad(&["gen", "secureboot", "database"]);
    assert!(
        told.contains("there is no certificate _out/uki-signing-cert.pem") && told.contains("gen secureboot uki"),
        "{told}"
    );
    let told = home.bad(&["gen", "secureboot", "database", "--include-well-known-uefi-certs"]);
    assert!(told.contains("the file of --enrolled-certificate"), "{told}");
    for name in ["", &"x".repeat(65)] {
        let told = home.bad(&["gen", "secureboot", "uki", "--common-name", name]);
        assert!(told.contains("1 to 64 characters"), "{told}");
    }
    home.good(&["gen", "keypair", "--organization", "small"]);
    let certificates = [
        "--enrolled-certificate",
        "small.crt",
        "--signing-certificate",
        "small.crt",
    ];
    let words = [
        &["gen", "secureboot", "database", "--signing-key", "small.key"],
        &certificates[..],
    ]
    .concat();
    let told = home.bad(&words);
    assert!(
        told.contains("sign the variable db") && told.contains("not an RSA key"),
        "{told}"
    );
    home.good(&["gen", "secureboot", "pcr"]);
    let words = [&words[..4], &["_out/pcr-signing-key.pem"], &certificates[..]].concat();
    let told = home.bad(&words);
    assert!(told.contains("does not belong to the certificate"), "{told}");
    assert_eq!(std::fs::read_dir(home.path().join("_out")).unwrap().count(), 1);
}

#[test]
fn clusters_that_cannot_be_made_are_refused() {
    let home = Home::new();
    assert!(
        home.bad(&["cluster", "create"])
            .contains("there is no built distribution")
    );
    assert!(
        home.bad(&["cluster", "create", "--dist", "nowhere"])
            .contains("nowhere/rootfs.sqsh")
    );
    assert_eq!(
        home.bad(&["cluster", "create", "qemu"]),
        "cluster create with provisioner qemu is refused: this command runs no virtual machines; take native or docker\n"
    );
    assert!(
        home.bad(&["cluster", "create", "--image", "node:1", "--dist", "."])
            .contains("cluster create docker")
    );
    let mut without = home.command(&["cluster", "create", "docker", "--image", "node:1"]);
    let output = without.env("PATH", home.path()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("Docker's command line is not installed"), "{error}");
    assert!(home.bad(&["cluster", "create", "vmware"]).contains("native or docker"));
    assert!(
        home.bad(&["cluster", "show", "--name", "x"])
            .contains("there is no cluster \"x\"")
    );
    assert!(
        home.bad(&["cluster", "destroy", "--name", "x"])
            .contains("there is no cluster \"x\"")
    );
    home.good(&["cluster", "destroy", "--name", "x", "--force"]);
}
