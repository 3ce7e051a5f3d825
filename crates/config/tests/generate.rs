//! Generated configurations equal those of the reference system for the same secrets and flags.
#![allow(clippy::unwrap_used)]

use std::time::SystemTime;

use config::generate::{self, Contract, DEFAULT_CLIENT_TTL, Endpoint, Input};
use config::secrets::SecretsBundle;

const SECRETS: &str = include_str!("vectors/secrets.yaml");

fn input() -> Input {
    let mut input = Input::new("demo", "https://10.5.0.2:6443").unwrap();
    input.kubernetes_version = "1.36.3".into();
    input.install_image = "ghcr.io/siderolabs/installer:v1.13.9".into();
    input
}

fn same(input: &Input, controlplane: &str, worker: &str) {
    let secrets = SecretsBundle::load(SECRETS.as_bytes()).unwrap();
    assert_eq!(
        generate::controlplane(input, &secrets).unwrap().encode_canonical(),
        controlplane
    );
    assert_eq!(generate::worker(input, &secrets).unwrap().encode_canonical(), worker);
}

#[test]
fn a_bundle_keeps_its_bytes() {
    let secrets = SecretsBundle::load(SECRETS.as_bytes()).unwrap();
    assert_eq!(secrets.encode().expose_str().unwrap(), SECRETS);
    assert!(!format!("{secrets:?}").contains("a034t0"));
}

#[test]
fn the_current_contract_gives_the_same_bytes() {
    same(
        &input(),
        include_str!("vectors/v1.13/controlplane.yaml"),
        include_str!("vectors/v1.13/worker.yaml"),
    );
}

#[test]
fn an_older_contract_gives_the_same_bytes() {
    let mut input = input();
    input.contract = "v1.6".parse().unwrap();
    same(
        &input,
        include_str!("vectors/v1.6/controlplane.yaml"),
        include_str!("vectors/v1.6/worker.yaml"),
    );
}

#[test]
fn flags_give_the_same_bytes() {
    let mut input = input();
    input.kubernetes_version = "v1.35.2".into();
    input.additional_sans = vec!["1.2.3.4".into(), "api.example.org".into()];
    input.install_disk = "/dev/vda".into();
    input.dns_domain = "k8s.local".into();
    input.with_kubespan = true;
    input.add_mirror("docker.io=http://10.5.0.1:5000").unwrap();
    same(
        &input,
        include_str!("vectors/flags/controlplane.yaml"),
        include_str!("vectors/flags/worker.yaml"),
    );
}

#[test]
fn every_contract_gives_configurations_that_load_and_are_valid() {
    let now = SystemTime::now();
    for minor in 0..=13 {
        let contract = Contract { major: 1, minor };
        let mut input = input();
        input.contract = contract;
        let secrets = SecretsBundle::load(SECRETS.as_bytes()).unwrap();
        for config in [
            generate::controlplane(&input, &secrets).unwrap(),
            generate::worker(&input, &secrets).unwrap(),
        ] {
            assert_eq!(config.encode_canonical().as_bytes(), config.encode());
        }
    }
    let old = SecretsBundle::generate(now, Contract { major: 1, minor: 2 }).unwrap();
    assert!(old.secretbox_encryption_secret.is_none() && old.aescbc_encryption_secret.is_some());
    assert!(old.service_account_key.expose_str().unwrap().contains("EC PRIVATE KEY"));
    assert_eq!(SecretsBundle::load(old.encode().expose()).unwrap(), old);
}

#[test]
fn a_bundle_comes_back_out_of_a_control_plane_but_not_out_of_a_worker() {
    let secrets = SecretsBundle::load(SECRETS.as_bytes()).unwrap();
    let controlplane = generate::controlplane(&input(), &secrets).unwrap();
    assert_eq!(SecretsBundle::from_controlplane_config(&controlplane).unwrap(), secrets);
    let worker = generate::worker(&input(), &secrets).unwrap();
    let error = SecretsBundle::from_controlplane_config(&worker)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not of a control plane"), "{error}");
}

#[test]
fn what_is_missing_or_wrong_in_a_bundle_is_said() {
    let broken = SECRETS
        .replace("token: 52m7ri.naotm3dw14hd01pw", "token: short")
        .replace("secretboxencryptionsecret", "aescbcencryptionsecret");
    let broken = broken.replace(
        "cluster:\n    id: zNOs1M-QQwjCqi6bHRwJm43b3_sRFUxYlw6P8wzV7Ik=\n",
        "cluster:\n",
    );
    let error = SecretsBundle::load(broken.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "secrets bundle: cluster.id: is missing; trustdinfo.token: is not six and sixteen characters of a-z and 0-9 with a dot between"
    );
    let error = SecretsBundle::load(SECRETS.replace("trustdinfo", "trustinfo").as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean trustdinfo?"), "{error}");
}

#[test]
fn a_client_configuration_names_the_cluster_and_has_the_admin_role() {
    let secrets = SecretsBundle::load(SECRETS.as_bytes()).unwrap();
    let now = SystemTime::now();
    let client = generate::client_config(&input(), &secrets, vec![], now, DEFAULT_CLIENT_TTL).unwrap();
    assert_eq!(client.context, "demo");
    let info = pki::cert_info(&client.contexts["demo"].crt).unwrap();
    assert_eq!(info.organizations, ["os:admin"]);
}

#[test]
fn endpoints_are_https_urls_of_a_host() {
    let parse = |text: &str| Endpoint::parse(text).map_err(|error| error.to_string());
    assert_eq!(
        parse("https://10.5.0.2:6443").unwrap(),
        Endpoint {
            host: "10.5.0.2".into(),
            port: Some(6443)
        }
    );
    assert_eq!(
        parse("https://[fd00::1]:6443").unwrap(),
        Endpoint {
            host: "fd00::1".into(),
            port: Some(6443)
        }
    );
    assert!(
        parse("https://example.org")
            .unwrap()
            .warning()
            .unwrap()
            .contains("6443")
    );
    assert!(parse("http://a:6443").unwrap_err().contains("write https://a:6443"));
    assert!(parse("https://fd00::1").unwrap_err().contains("in brackets"));
    for wrong in [
        "",
        "https://",
        "https://a b",
        "https://a:0",
        "https://a:99999",
        "https://a/b",
        "https://300.1.1.1:6443",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
