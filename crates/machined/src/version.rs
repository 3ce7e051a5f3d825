//! What this build calls itself.

/// The version of the machine API this project implements, as clients compare it.
pub const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));
/// The product's name.
pub const NAME: &str = "Keelson";
/// The commit this was built from, if the build said so.
pub const SHA: &str = match option_env!("KEELSON_COMMIT") {
    Some(sha) => sha,
    None => "undefined",
};
/// When that commit was made (RFC 3339), which is the same for everybody who builds it; empty if the build did not say.
pub const BUILT: &str = match option_env!("KEELSON_BUILT") {
    Some(date) => date,
    None => "",
};
/// The compiler: the interface's field says "Go version", which we have none of.
pub const COMPILER: &str = concat!("rust", env!("CARGO_PKG_RUST_VERSION"));

/// Name and version, as nodes tell each other and Kubernetes.
pub fn operating_system() -> String {
    format!("{NAME} ({TAG})")
}
