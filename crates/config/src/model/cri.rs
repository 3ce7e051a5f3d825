//! The container runtime and registries.

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::Free;

model! {
    /// Changes to the default OCI specification of containers.
    pub struct CRIBaseRuntimeSpecConfig: "cri.CRIBaseRuntimeSpecConfigV1Alpha1", kind "CRIBaseRuntimeSpecConfig" since "v1.14" {
        /// Values laid over the default OCI specification of containers.
        overrides: Option<Free> = "overrides";
    }

    /// Additional configuration of the container runtime.
    pub struct CRICustomizationConfig: "cri.CRICustomizationConfigV1Alpha1", kind "CRICustomizationConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Content of the file.
        content: Option<String> = "content";
    }

    /// Certificate and key of a client, PEM.
    pub struct ClientIdentity: "cri.ClientIdentity" {
        /// Certificate, PEM.
        cert: Option<String> = "cert";
        /// The same as `cert`.
        crt: Option<String> = "crt";
        /// Private key, PEM.
        key: Option<Secret> = "key";
    }

    /// Cache of images on the machine.
    pub struct ImageCacheConfig: "cri.ImageCacheConfigV1Alpha1", kind "ImageCacheConfig" since "v1.14" {
        /// Cache on the machine's own disk.
        local: Option<LocalImageCacheConfig> = "local";
    }

    /// Cache of images on the machine's own disk.
    pub struct LocalImageCacheConfig: "cri.LocalImageCacheConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
    }

    /// Credentials for a registry.
    pub struct RegistryAuthConfig: "cri.RegistryAuthConfigV1Alpha1", kind "RegistryAuthConfig" named {
        /// Host of the registry.
        name: Option<String> = "name".required();
        /// User name.
        username: Option<String> = "username";
        /// Password.
        password: Option<Secret> = "password";
        /// Base64 of `user:password`.
        auth: Option<Secret> = "auth";
        /// Token of an identity provider.
        identity_token: Option<Secret> = "identityToken";
    }

    /// A mirror.
    pub struct RegistryEndpoint: "cri.RegistryEndpoint" {
        /// URL of the mirror.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
        /// The path in the URL is the whole path: `/v2` is not added.
        override_path: Option<bool> = "overridePath";
    }

    /// Mirrors of a registry.
    pub struct RegistryMirrorConfig: "cri.RegistryMirrorConfigV1Alpha1", kind "RegistryMirrorConfig" named {
        /// Host of the registry; `*` stands for all others.
        name: Option<String> = "name".required();
        /// Mirrors, in the order they are asked.
        endpoints: Vec<RegistryEndpoint> = "endpoints";
        /// Do not ask the registry itself if no mirror has the image.
        skip_fallback: Option<bool> = "skipFallback";
    }

    /// TLS settings for a registry.
    pub struct RegistryTLSConfig: "cri.RegistryTLSConfigV1Alpha1", kind "RegistryTLSConfig" named {
        /// Host of the registry.
        name: Option<String> = "name".required();
        /// Certificate and key shown to the server.
        client_identity: Option<ClientIdentity> = "clientIdentity";
        /// Authorities to trust beside the system's, PEM.
        ca: Option<String> = "ca";
        /// Trust any certificate of the server.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify";
    }
}
