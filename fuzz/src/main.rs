//! Gives libFuzzer's bytes to the target that `KEELSON_FUZZ_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("KEELSON_FUZZ_TARGET").unwrap_or_default();
    fuzz::find(&name).unwrap_or_else(|| {
        eprintln!("KEELSON_FUZZ_TARGET={name:?} is no target; run this with `cargo xtask fuzz`");
        std::process::exit(2)
    })
}

libfuzzer_sys::fuzz_target!(
    init: {
        TARGET.get_or_init(chosen);
    },
    |bytes: &[u8]| (TARGET.get_or_init(chosen).run)(bytes)
);
