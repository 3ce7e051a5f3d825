//! What the contract says of a call: whether request and response are single messages or streams.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message;
use prost_types::FileDescriptorSet;

/// One call of the contract.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Method {
    /// `/package.Service/Method`, the path of the HTTP request.
    pub path: String,
    /// Full name of the request message.
    pub request: String,
    /// Whether the client sends a stream.
    pub client_streaming: bool,
    /// Full name of the response message.
    pub response: String,
    /// Whether the server sends a stream.
    pub server_streaming: bool,
}

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    // The bytes come from our own build; if they did not decode, no call would be known, and a test says so.
    let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let methods = set.file.iter().flat_map(|file| {
        file.service.iter().flat_map(move |service| {
            service.method.iter().map(move |method| {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let entry = Method {
                    path: path.clone(),
                    request: method.input_type().trim_start_matches('.').to_owned(),
                    client_streaming: method.client_streaming(),
                    response: method.output_type().trim_start_matches('.').to_owned(),
                    server_streaming: method.server_streaming(),
                };
                (path, entry)
            })
        })
    });
    methods.collect()
});

/// The call at that path, if the contract has it.
pub fn find(path: &str) -> Option<&'static Method> {
    METHODS.get(path)
}

/// The services whose answers carry the node's name, so that one call can go to many nodes.
pub const FAN_OUT_SERVICES: [&str; 5] = [
    "machine.MachineService",
    "cluster.ClusterService",
    "inspect.InspectService",
    "storage.StorageService",
    "time.TimeService",
];

/// Whether calls of that service can go to many nodes at once.
pub fn fans_out(service: &str) -> bool {
    FAN_OUT_SERVICES.contains(&service)
}

/// Whether that call answers with a stream of bytes, such as a file or a log.
pub fn streams_bytes(path: &str) -> bool {
    find(path).is_some_and(|m| m.server_streaming && m.response == "common.Data")
}

/// Every call of the contract, in no order.
pub fn all() -> impl Iterator<Item = &'static Method> {
    METHODS.values()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_descriptors_declare_exactly_the_calls_of_the_contract() {
        let line = |m: &Method| {
            let stream = |on| if on { "stream " } else { "" };
            let (c, s) = (stream(m.client_streaming), stream(m.server_streaming));
            format!("{} {c}{} {s}{}", m.path, m.request, m.response)
        };
        // Our own extensions are not part of the contract with other clients.
        let declared = all().filter(|m| !m.path.starts_with("/keelson."));
        let declared: BTreeSet<String> = declared.map(line).collect();
        let contract = include_str!("../contract.txt").lines();
        let contract: BTreeSet<String> = contract.filter(|l| !l.starts_with('#')).map(str::to_owned).collect();
        assert_eq!(declared, contract);
        assert!(contract.len() > 80);
    }

    #[test]
    fn answers_of_services_that_fan_out_name_their_node_in_field_one() {
        let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let message = |full: &str| {
            let (package, name) = full.trim_start_matches('.').rsplit_once('.').unwrap();
            let files = set.file.iter().filter(|f| f.package() == package);
            let found = files.flat_map(|f| &f.message_type).find(|m| m.name() == name);
            found.cloned().unwrap_or_else(|| panic!("no message {full}"))
        };
        let first = |full: &str| message(full).field.into_iter().find(|f| f.number() == 1).unwrap();
        for method in all().filter(|m| fans_out(m.path[1..].split('/').next().unwrap())) {
            let mut field = first(&method.response);
            if !method.server_streaming {
                assert_eq!(field.name(), "messages", "{}", method.path);
                field = first(field.type_name());
            }
            assert_eq!(field.type_name(), ".common.Metadata", "{}", method.path);
        }
    }

    #[test]
    fn streams_are_known_as_such() {
        assert!(find("/machine.MachineService/Logs").unwrap().server_streaming);
        assert!(find("/machine.MachineService/EtcdRecover").unwrap().client_streaming);
        assert!(!find("/machine.MachineService/Version").unwrap().server_streaming);
        assert!(find("/machine.MachineService/Shell").is_none());
        for bytes in ["Logs", "Read", "Copy", "Dmesg", "EtcdSnapshot", "PacketCapture"] {
            assert!(streams_bytes(&format!("/machine.MachineService/{bytes}")), "{bytes}");
        }
        for other in ["Version", "List", "Events"] {
            assert!(!streams_bytes(&format!("/machine.MachineService/{other}")), "{other}");
        }
    }
}
