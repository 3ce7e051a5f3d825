//! The derive macro of the resource crate.
