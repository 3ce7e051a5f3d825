//! The contract, generated from the `.proto` files in this crate; one module per protobuf package.

#![allow(missing_docs)]
#![allow(clippy::all, clippy::pedantic, clippy::uninlined_format_args)]
#![allow(rustdoc::invalid_html_tags, rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]

pub use securityapi as security;

include!(concat!(env!("OUT_DIR"), "/api.rs"));
