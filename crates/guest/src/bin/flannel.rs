//! The CNI plugin `flannel`: reads what flanneld wrote about this node's subnet and delegates to another plugin
//! (`bridge` with `host-local` unless the configuration says otherwise).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Where flanneld writes its subnet.
const SUBNET_FILE: &str = "/run/flannel/subnet.env";
/// How long a pod may wait for it, and the time between two looks. The kubelet waits minutes for a pod's network.
const SUBNET_WAIT: Duration = Duration::from_secs(20);
const SUBNET_PAUSE: Duration = Duration::from_millis(50);
/// Where a container's delegate configuration is kept until it is deleted.
const DATA_DIR: &str = "/var/lib/cni/flannel";
/// CNI error codes: the specification's "environment variables wrong", "I/O", "decoding", "try again later".
const BAD_ENVIRONMENT: u32 = 4;
const IO_FAILURE: u32 = 5;
const BAD_CONFIG: u32 = 6;
const TRY_AGAIN: u32 = 11;

fn main() -> ExitCode {
    let mut input = String::new();
    let config = io::stdin()
        .read_to_string(&mut input)
        .map_err(|e| Failure::new(IO_FAILURE, format!("read input: {e}")));
    match config.and_then(|_| run(&input)) {
        Ok(output) => {
            let _ = io::stdout().write_all(&output);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!(
                "{}",
                json!({ "cniVersion": "1.0.0", "code": failure.code, "msg": failure.message })
            );
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug)]
struct Failure {
    code: u32,
    message: String,
}

impl Failure {
    fn new(code: u32, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: format!("flannel: {}", message.into()),
        }
    }
}

fn run(input: &str) -> Result<Vec<u8>, Failure> {
    let variable =
        |name: &str| std::env::var(name).map_err(|_| Failure::new(BAD_ENVIRONMENT, format!("{name} is not set")));
    let command = variable("CNI_COMMAND")?;
    if command == "VERSION" {
        let versions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
        return Ok(json!({ "cniVersion": "1.1.0", "supportedVersions": versions })
            .to_string()
            .into_bytes());
    }
    let config: Map<String, Value> =
        serde_json::from_str(input).map_err(|e| Failure::new(BAD_CONFIG, format!("read the configuration: {e}")))?;
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let subnet_file = text("subnetFile").unwrap_or(SUBNET_FILE);
    if command == "STATUS" {
        return read_subnet(Path::new(subnet_file)).map(|_| Vec::new());
    }
    if command == "GC" {
        return Ok(Vec::new());
    }
    let container = variable("CNI_CONTAINERID")?;
    if container.is_empty()
        || !container
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    {
        return Err(Failure::new(
            BAD_ENVIRONMENT,
            format!("CNI_CONTAINERID {container:?} is not an id"),
        ));
    }
    let interface = std::env::var("CNI_IFNAME").unwrap_or_default();
    let kept = Kept {
        dir: text("dataDir").unwrap_or(DATA_DIR).into(),
        container,
        interface,
    };
    match command.as_str() {
        "ADD" => {
            let delegate = delegate_config(&config, &await_subnet(Path::new(subnet_file))?)?;
            // Kept first: a delegate that fails half way still has to be deleted.
            kept.save(&delegate)?;
            call(&delegate)
        }
        "CHECK" => {
            let Some(mut delegate) = kept.load()? else {
                return Err(Failure::new(IO_FAILURE, "this container was never added"));
            };
            if let (Some(previous), Some(object)) = (config.get("prevResult"), delegate.as_object_mut()) {
                object.insert("prevResult".into(), previous.clone());
            }
            call(&delegate)
        }
        "DEL" => {
            // Deleting what is not there succeeds: the runtime may ask twice.
            let Some(delegate) = kept.load()? else {
                return Ok(Vec::new());
            };
            let output = call(&delegate)?;
            kept.forget();
            Ok(output)
        }
        other => Err(Failure::new(
            BAD_ENVIRONMENT,
            format!("CNI_COMMAND {other:?} is not known"),
        )),
    }
}

/// What flanneld says about this node.
#[derive(Debug, Default, PartialEq)]
struct Subnet {
    networks: Vec<String>,
    subnets: Vec<String>,
    mtu: Option<u64>,
    masquerades: bool,
}

/// The subnet, as soon as there is one. A node is ready for pods when its network configuration is there, a moment
/// before flanneld has its subnet; a pod that is refused in that moment is tried again only after many seconds.
fn await_subnet(path: &Path) -> Result<Subnet, Failure> {
    let deadline = Instant::now() + SUBNET_WAIT;
    loop {
        match read_subnet(path) {
            Err(_) if Instant::now() < deadline => std::thread::sleep(SUBNET_PAUSE),
            outcome => return outcome,
        }
    }
}

fn read_subnet(path: &Path) -> Result<Subnet, Failure> {
    let text = fs::read_to_string(path).map_err(|e| {
        let hint = "flanneld writes it when it has a subnet; look at its pod's log";
        Failure::new(TRY_AGAIN, format!("read {}: {e} ({hint})", path.display()))
    })?;
    parse_subnet(&text).map_err(|message| Failure::new(TRY_AGAIN, format!("{}: {message}", path.display())))
}

fn parse_subnet(text: &str) -> Result<Subnet, String> {
    let values: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.trim().split_once('=')).collect();
    let list = |keys: [&str; 2]| -> Vec<String> {
        let found = keys.iter().filter_map(|key| values.get(key));
        found
            .flat_map(|value| value.split(','))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let subnet = Subnet {
        networks: list(["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"]),
        subnets: list(["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"])
            .iter()
            .map(|subnet| network_of(subnet).ok_or_else(|| format!("{subnet:?} is not a subnet")))
            .collect::<Result<_, _>>()?,
        mtu: values.get("FLANNEL_MTU").and_then(|mtu| mtu.parse().ok()),
        masquerades: values.get("FLANNEL_IPMASQ") == Some(&"true"),
    };
    if subnet.subnets.is_empty() {
        Err("FLANNEL_SUBNET is missing".into())
    } else {
        Ok(subnet)
    }
}

/// The network of a subnet. flanneld writes its own address with the length; host-local refuses host bits.
fn network_of(subnet: &str) -> Option<String> {
    let (address, length) = subnet.split_once('/')?;
    let bits: u32 = length.parse().ok()?;
    let network = match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(bits)?).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    };
    Some(format!("{network}/{length}"))
}

/// The delegate's configuration: what the person wrote under `delegate`, completed from the subnet.
fn delegate_config(config: &Map<String, Value>, subnet: &Subnet) -> Result<Value, Failure> {
    let mut delegate = match config.get("delegate") {
        None => Map::new(),
        Some(Value::Object(delegate)) => delegate.clone(),
        Some(_) => return Err(Failure::new(BAD_CONFIG, "'delegate' must be an object")),
    };
    for reserved in ["name", "ipam"] {
        if reserved == "name" && delegate.contains_key(reserved) {
            return Err(Failure::new(
                BAD_CONFIG,
                "'delegate' must not have a 'name': it is the network's",
            ));
        }
        if delegate.get(reserved).is_some_and(|value| !value.is_object()) {
            return Err(Failure::new(
                BAD_CONFIG,
                format!("'delegate.{reserved}' must be an object"),
            ));
        }
    }
    delegate.insert("name".into(), config.get("name").cloned().unwrap_or_default());
    delegate.entry("type").or_insert_with(|| "bridge".into());
    let is_bridge = delegate.get("type").and_then(Value::as_str) == Some("bridge");
    // Exactly one of flanneld and the plugin translates addresses.
    delegate.entry("ipMasq").or_insert_with(|| (!subnet.masquerades).into());
    if let Some(mtu) = subnet.mtu {
        delegate.entry("mtu").or_insert_with(|| mtu.into());
    }
    if is_bridge {
        delegate.entry("isGateway").or_insert(true.into());
    }
    if let Some(version) = config.get("cniVersion") {
        delegate.insert("cniVersion".into(), version.clone());
    }
    if let Some(runtime) = config.get("runtimeConfig") {
        delegate.insert("runtimeConfig".into(), runtime.clone());
    }
    let mut ipam = match delegate.remove("ipam").or_else(|| config.get("ipam").cloned()) {
        Some(Value::Object(ipam)) => ipam,
        _ => Map::new(),
    };
    ipam.entry("type").or_insert_with(|| "host-local".into());
    let ranges: Vec<Value> = subnet
        .subnets
        .iter()
        .map(|subnet| json!([{ "subnet": subnet }]))
        .collect();
    ipam.insert("ranges".into(), ranges.into());
    let mut routes = ipam
        .remove("routes")
        .and_then(|routes| routes.as_array().cloned())
        .unwrap_or_default();
    routes.extend(subnet.networks.iter().map(|network| json!({ "dst": network })));
    ipam.insert("routes".into(), routes.into());
    delegate.insert("ipam".into(), ipam.into());
    Ok(delegate.into())
}

/// Runs the delegate with our environment; its answer is ours.
fn call(delegate: &Value) -> Result<Vec<u8>, Failure> {
    let kind = delegate.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind.is_empty() || kind.contains('/') {
        return Err(Failure::new(
            BAD_CONFIG,
            format!("delegate type {kind:?} is not a plugin's name"),
        ));
    }
    let path = std::env::var_os("CNI_PATH").unwrap_or_default();
    let Some(program) = std::env::split_paths(&path)
        .map(|dir| dir.join(kind))
        .find(|file| file.is_file())
    else {
        return Err(Failure::new(
            BAD_ENVIRONMENT,
            format!("plugin {kind} is in no folder of CNI_PATH"),
        ));
    };
    let failed = |e: io::Error| Failure::new(IO_FAILURE, format!("run {}: {e}", program.display()));
    let mut child = Command::new(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(delegate.to_string().as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let code = answer
        .get("code")
        .and_then(Value::as_u64)
        .and_then(|code| u32::try_from(code).ok());
    let message = answer.get("msg").and_then(Value::as_str).unwrap_or("it gave no reason");
    Err(Failure::new(code.unwrap_or(999), format!("plugin {kind}: {message}")))
}

/// Where a container's delegate configuration is kept.
struct Kept {
    dir: PathBuf,
    container: String,
    interface: String,
}

impl Kept {
    fn path(&self) -> PathBuf {
        self.dir
            .join(format!("{}-{}", self.container, self.interface.replace('/', "_")))
    }

    fn save(&self, delegate: &Value) -> Result<(), Failure> {
        let path = self.path();
        let partial = path.with_extension("new");
        let save = || {
            fs::create_dir_all(&self.dir)?;
            fs::write(&partial, delegate.to_string())?;
            fs::rename(&partial, &path)
        };
        save().map_err(|e| Failure::new(IO_FAILURE, format!("write {}: {e}", path.display())))
    }

    fn load(&self) -> Result<Option<Value>, Failure> {
        let path = self.path();
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::new(IO_FAILURE, format!("read {}: {error}", path.display()))),
        }
    }

    fn forget(&self) {
        let _ = fs::remove_file(self.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBNET: &str =
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

    fn config(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_bridge_gets_the_nodes_subnet_and_a_route_to_the_network() {
        let text = r#"{"name":"cbr0","cniVersion":"1.0.0","type":"flannel",
            "delegate":{"hairpinMode":true,"isDefaultGateway":true}}"#;
        let delegate = delegate_config(&config(text), &parse_subnet(SUBNET).unwrap()).unwrap();
        let wanted = json!({
            "name": "cbr0", "cniVersion": "1.0.0", "type": "bridge", "hairpinMode": true, "isDefaultGateway": true,
            "isGateway": true, "ipMasq": false, "mtu": 1450,
            "ipam": {
                "type": "host-local", "ranges": [[{ "subnet": "10.244.1.0/24" }]], "routes": [{ "dst": "10.244.0.0/16" }]
            },
        });
        assert_eq!(delegate, wanted);
    }

    #[test]
    fn both_families_get_a_range() {
        let text = format!("{SUBNET}FLANNEL_IPV6_NETWORK=fd00::/56\nFLANNEL_IPV6_SUBNET=fd00:0:0:1::1/64\n");
        let delegate = delegate_config(&config(r#"{"name":"x"}"#), &parse_subnet(&text).unwrap()).unwrap();
        assert_eq!(delegate["ipam"]["ranges"].as_array().unwrap().len(), 2);
        assert_eq!(delegate["ipam"]["routes"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_missing_subnet_says_who_writes_it() {
        let failure = read_subnet(Path::new("/nonexistent/subnet.env")).unwrap_err();
        assert_eq!(failure.code, TRY_AGAIN);
        assert!(failure.message.contains("flanneld"));
        assert!(parse_subnet("FLANNEL_MTU=1450").is_err());
    }

    #[test]
    fn wrong_delegates_are_refused() {
        let subnet = parse_subnet(SUBNET).unwrap();
        for text in [
            r#"{"delegate":[]}"#,
            r#"{"delegate":{"name":"x"}}"#,
            r#"{"delegate":{"ipam":1}}"#,
        ] {
            assert_eq!(
                delegate_config(&config(text), &subnet).unwrap_err().code,
                BAD_CONFIG,
                "{text}"
            );
        }
        assert_eq!(call(&json!({ "type": "../sh" })).unwrap_err().code, BAD_CONFIG);
    }
}
