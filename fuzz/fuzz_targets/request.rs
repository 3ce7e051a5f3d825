//! Certificate signing requests, as they come from nodes that are known by a token only.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Whatever comes in is refused or understood; it must not end the process.
    let _ = pki::Csr::from_pem(data);
    let _ = pki::Csr::from_der(data);
    let _ = pki::cert_info(data);
    let _ = pki::cert_info_der(data);
});
