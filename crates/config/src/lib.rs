//! Machine configuration: documents, validation, patches, generation, secrets bundle.
