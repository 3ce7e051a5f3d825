//! Keys, certificate authorities, certificates, roles and client configuration.
