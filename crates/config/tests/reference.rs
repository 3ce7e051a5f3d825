//! The reference in `docs/` is what the schema says; comments do not change what a configuration means.
#![allow(clippy::unwrap_used)]

use config::{Config, reference};

#[test]
fn the_reference_is_up_to_date() {
    reference_test::assert_up_to_date("configuration.md", env!("CARGO_PKG_NAME"), &reference::render());
}

#[test]
fn every_link_in_the_reference_has_its_heading() {
    reference_test::assert_links_lead_somewhere(&reference::render());
}

#[test]
fn comments_do_not_change_the_meaning() {
    for text in [
        include_str!("vectors/v1.13/controlplane.yaml"),
        include_str!("vectors/flags/worker.yaml"),
    ] {
        let config = Config::decode(text.as_bytes()).unwrap();
        for (docs, examples) in [(true, true), (true, false), (false, true)] {
            let commented = config.encode_commented(docs, examples);
            assert_eq!(Config::decode(commented.as_bytes()).unwrap(), config, "{commented}");
        }
        assert_eq!(config.encode_commented(false, false), text);
    }
}

#[test]
fn comments_say_what_fields_are_for_and_show_examples() {
    let config = Config::decode(include_str!("vectors/v1.13/worker.yaml").as_bytes()).unwrap();
    let text = config.encode_commented(true, true);
    assert!(text.contains("machine: # The machine itself.\n"), "{text}");
    assert!(
        text.contains("    # # Kernel parameters under /proc/sys.\n    # sysctls:\n    #     net.core.somaxconn"),
        "{text}"
    );
}
