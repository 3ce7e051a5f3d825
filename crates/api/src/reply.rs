//! What all answers have in common: entries that name their node, in lists with one entry per node.

use prost::Message;

use crate::proto::common::Metadata;

/// A message that says which node it is from and what failed there.
pub trait Entry: Message + Default {
    /// Its metadata; a node that answers for itself leaves it out.
    fn metadata(&self) -> Option<&Metadata>;
    /// A place for metadata.
    fn metadata_mut(&mut self) -> &mut Option<Metadata>;
}

/// An answer with one entry per node.
pub trait Reply: Message + Default {
    /// What one node answers.
    type Entry: Entry;
    /// The answer of one node.
    fn of(entry: Self::Entry) -> Self;
    /// The entries.
    fn into_entries(self) -> Vec<Self::Entry>;
}

macro_rules! entry {
    ($message:path) => {
        impl Entry for $message {
            fn metadata(&self) -> Option<&Metadata> {
                self.metadata.as_ref()
            }
            fn metadata_mut(&mut self) -> &mut Option<Metadata> {
                &mut self.metadata
            }
        }
    };
}

macro_rules! reply {
    ($message:path, $entry:path) => {
        impl Reply for $message {
            type Entry = $entry;
            fn of(entry: $entry) -> Self {
                Self {
                    messages: vec![entry],
                }
            }
            fn into_entries(self) -> Vec<$entry> {
                self.messages
            }
        }
    };
}

use crate::proto::*;
include!(concat!(env!("OUT_DIR"), "/replies.rs"));
