use resource::{Definition, DynResource, Metadata, Resource, ResourceDefinition};

const CAPTURED: &str = include_str!("../data/resource-definitions.yaml");

/// Type, namespace and given aliases, read back from a captured definition.
fn given(captured: &ResourceDefinition) -> (Vec<String>, bool) {
    let skip = captured.skip_automatic_aliases;
    if skip {
        return (captured.aliases.clone(), true);
    }
    let bare = Definition::new(&captured.ty, &captured.default_namespace, &[], false);
    let automatic = bare.aliases.len();
    (captured.aliases[..captured.aliases.len() - automatic].to_vec(), false)
}

#[test]
fn names_are_made_from_the_type_as_in_every_captured_definition() {
    let mut seen = 0;
    for document in CAPTURED.split("---\n") {
        let (_, spec) = document.split_once("spec:\n").unwrap();
        let spec: String = spec
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap()))
            .collect();
        let captured: ResourceDefinition = resource::yaml::from_str(&spec).unwrap();
        let (aliases, skip) = given(&captured);
        let aliases: Vec<_> = aliases.iter().map(String::as_str).collect();
        let made = ResourceDefinition::from(&Definition::new(
            &captured.ty,
            &captured.default_namespace,
            &aliases,
            skip,
        ));
        assert_eq!(made.display_type, captured.display_type);
        assert_eq!(made.aliases, captured.aliases, "{}", captured.ty);
        assert_eq!(made.all_aliases, captured.all_aliases, "{}", captured.ty);

        // The captured document, written by us.
        let created = "2026-11-21T06:31:03Z".parse().unwrap();
        let metadata = Metadata {
            namespace: "meta".into(),
            ty: "ResourceDefinitions.meta.cosi.dev".into(),
            id: captured.ty.to_lowercase(),
            version: 1,
            owner: "meta".into(),
            created,
            updated: created,
            ..Metadata::default()
        };
        let ours: DynResource = Resource::with_metadata(metadata, captured).erase();
        assert_eq!(format!("node: 127.0.0.1\n{}", ours.yaml()), document);
        seen += 1;
    }
    assert_eq!(seen, 167);
}

#[test]
fn the_store_describes_itself_as_captured() {
    let store = crate::store();
    for id in ["resourcedefinitions.meta.cosi.dev", "namespaces.meta.cosi.dev"] {
        let ours = store
            .get_dyn("ResourceDefinitions.meta.cosi.dev", "meta", id)
            .unwrap()
            .yaml();
        assert!(CAPTURED.contains(&ours), "{ours}");
    }
}

#[test]
fn a_name_finds_its_type_in_any_case_and_tells_when_it_is_ambiguous() {
    let store = crate::store();
    store.register::<crate::Member>();
    store.add_definition(Definition::new(
        "MemoryModules.hardware.talos.dev",
        "hardware",
        &["ram"],
        false,
    ));
    store.add_definition(Definition::new(
        "MetaModules.hardware.talos.dev",
        "hardware",
        &[],
        false,
    ));
    for name in ["member", "Members", "members.cluster", "Members.cluster.talos.dev"] {
        assert_eq!(store.resolve(name).unwrap().ty, "Members.cluster.talos.dev");
    }
    let ambiguous = store.resolve("mm").unwrap_err().to_string();
    assert!(
        ambiguous.contains("MemoryModules") && ambiguous.contains("MetaModules"),
        "{ambiguous}"
    );
    assert!(
        store
            .resolve("nope")
            .unwrap_err()
            .to_string()
            .contains("\"nope\" is not registered")
    );
}
