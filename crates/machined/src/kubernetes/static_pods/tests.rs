use super::*;

fn server() -> ApiServer {
    ApiServer {
        component: Component {
            image: "registry.k8s.io/kube-apiserver:v1.37.1".into(),
            ..Default::default()
        },
        control_plane_endpoint: "https://10.5.0.2:6443".into(),
        etcd_servers: vec!["https://127.0.0.1:2379".into()],
        local_port: 6443,
        service_cidrs: vec!["10.96.0.0/12".into()],
        advertised_address: "$(POD_IP)".into(),
    }
}

fn command_of(pod: &Value) -> Vec<&str> {
    pod["spec"]["containers"][0]["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_str().unwrap())
        .collect()
}

fn with_arg(name: &str, value: &str) -> ApiServer {
    let mut server = server();
    server.component.extra_args.insert(name.into(), vec![value.into()]);
    server
}

#[test]
fn the_api_server_is_confined_and_knows_its_files() {
    let mut input = server();
    input.component.versions.config = "3".into();
    let pod = api_server(&input).unwrap();
    let command = command_of(&pod);
    assert_eq!(command[0], "/usr/local/bin/kube-apiserver");
    for flag in [
        "--advertise-address=$(POD_IP)",
        "--authentication-config=/system/config/kubernetes/kube-apiserver/authentication-config.yaml",
        "--authorization-config=/system/config/kubernetes/kube-apiserver/authorization-config.yaml",
        "--enable-admission-plugins=NodeRestriction",
        "--etcd-servers=https://127.0.0.1:2379",
        "--service-account-issuer=https://10.5.0.2:6443",
        "--tls-cert-file=/system/secrets/kubernetes/kube-apiserver/apiserver.crt",
    ] {
        assert!(command.contains(&flag), "{flag} missing in {command:#?}");
    }
    assert!(!command.iter().any(|c| c.starts_with("--anonymous-auth")));
    let spec = &pod["spec"];
    assert_eq!(spec["securityContext"]["runAsUser"], 65534);
    assert_eq!(spec["priorityClassName"], "system-cluster-critical");
    let container = &spec["containers"][0];
    assert_eq!(
        container["securityContext"]["capabilities"],
        json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})
    );
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "200m", "memory": "512Mi"}})
    );
    assert_eq!(container["startupProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(pod["metadata"]["annotations"], json!({"talos.dev/config-version": "3"}));
    assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/version"], "v1.37.1");
    let volumes: Vec<_> = spec["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["hostPath"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(volumes, [API_SERVER_SECRETS, API_SERVER_CONFIG, AUDIT_LOG]);
}

#[test]
fn without_anonymous_health_the_probe_only_connects() {
    let pod = api_server(&with_arg("anonymous-auth", "false")).unwrap();
    assert!(command_of(&pod).contains(&"--anonymous-auth=false"));
    assert!(
        !command_of(&pod)
            .iter()
            .any(|c| c.starts_with("--authentication-config"))
    );
    assert_eq!(pod["spec"]["containers"][0]["livenessProbe"]["tcpSocket"]["port"], 6443);
    let mut old = server();
    old.component.image = "registry.k8s.io/kube-apiserver:v1.31.4".into();
    assert!(command_of(&api_server(&old).unwrap()).contains(&"--anonymous-auth=false"));
}

#[test]
fn an_authorization_mode_of_the_user_adds_to_ours_and_replaces_the_file() {
    let pod = api_server(&with_arg("authorization-mode", "Webhook")).unwrap();
    let command = command_of(&pod);
    assert!(command.contains(&"--authorization-mode=Node,RBAC,Webhook"));
    assert!(!command.iter().any(|c| c.starts_with("--authorization-config")));
}

#[test]
fn managed_flags_are_refused() {
    for name in ["etcd-servers", "tls-cert-file", "audit-policy-file"] {
        let error = api_server(&with_arg(name, "x")).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("cluster.apiServer.extraArgs"),
            "{error}"
        );
    }
}

#[test]
fn what_the_user_says_of_a_component_is_in_its_pod() {
    let mut input = Scheduler::default();
    let component = &mut input.component;
    component.image = "registry.k8s.io/kube-scheduler:v1.37.1".into();
    component
        .environment_variables
        .insert("HTTPS_PROXY".into(), "http://p".into());
    component.resources.limits.insert("memory".into(), "32Mi".into());
    component.extra_volumes.push(super::super::pods::ExtraVolume {
        name: String::new(),
        host_path: "/var/x".into(),
        mount_path: "/x".into(),
        read_only: true,
    });
    let pod = scheduler(&input).unwrap();
    let container = &pod["spec"]["containers"][0];
    assert_eq!(
        container["env"],
        json!([{"name": "GOMEMLIMIT", "value": "31876710"}, {"name": "HTTPS_PROXY", "value": "http://p"}])
    );
    assert_eq!(
        container["resources"]["requests"],
        json!({"cpu": "10m", "memory": "32Mi"}),
        "never above the limit"
    );
    assert_eq!(
        container["volumeMounts"][2],
        json!({"name": "extra-0", "mountPath": "/x", "readOnly": true})
    );
    assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
}

#[test]
fn the_controller_manager_is_told_of_a_cloud_provider_only_when_there_is_one() {
    let mut input = ControllerManager {
        pod_cidrs: vec!["10.244.0.0/16".into()],
        ..Default::default()
    };
    assert!(
        !command_of(&controller_manager(&input).unwrap())
            .iter()
            .any(|c| c.starts_with("--cloud-provider"))
    );
    input.cloud_provider = "external".into();
    let pod = controller_manager(&input).unwrap();
    assert!(command_of(&pod).contains(&"--cloud-provider=external"));
    assert!(command_of(&pod).contains(&"--cluster-cidr=10.244.0.0/16"));
}

#[test]
fn inputs_have_the_shape_of_their_resources() {
    let text = r#"{"image": "i", "controlPlaneEndpoint": "https://a:6443", "etcdServers": ["e"], "localPort": 6443,
        "serviceCIDR": ["10.96.0.0/12"], "extraArgs": {"v": ["4"]}, "extraVolumes": [],
        "environmentVariables": {}, "advertisedAddress": "$(POD_IP)",
        "resources": {"requests": {"cpu": "", "memory": ""}, "limits": {}}}"#;
    let input: ApiServer = serde_json::from_str(text).unwrap();
    assert_eq!(input.service_cidrs, ["10.96.0.0/12"]);
    assert!(command_of(&api_server(&input).unwrap()).contains(&"--v=4"));
}
