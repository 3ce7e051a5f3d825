//! The contract, generated from the `.proto` files in this crate.

#![allow(missing_docs)]
#![allow(clippy::all, clippy::pedantic, clippy::uninlined_format_args)]
#![allow(rustdoc::invalid_html_tags, rustdoc::bare_urls, rustdoc::broken_intra_doc_links)]

pub use sidero::discovery::{client, server};

include!(concat!(env!("OUT_DIR"), "/discovery.rs"));
