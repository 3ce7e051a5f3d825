//! cri

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::Free;

model! {
    /// Cribase runtime spec config.
    pub struct CRIBaseRuntimeSpecConfig: "cri.CRIBaseRuntimeSpecConfigV1Alpha1", kind "CRIBaseRuntimeSpecConfig" since "v1.14" {
        /// Overrides.
        overrides: Option<Free> = "overrides";
    }

    /// Cricustomization config.
    pub struct CRICustomizationConfig: "cri.CRICustomizationConfigV1Alpha1", kind "CRICustomizationConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Content.
        content: Option<String> = "content";
    }

    /// Client identity.
    pub struct ClientIdentity: "cri.ClientIdentity" {
        /// Cert.
        cert: Option<String> = "cert";
        /// Crt.
        crt: Option<String> = "crt";
        /// Key.
        key: Option<Secret> = "key";
    }

    /// Image cache config.
    pub struct ImageCacheConfig: "cri.ImageCacheConfigV1Alpha1", kind "ImageCacheConfig" since "v1.14" {
        /// Local.
        local: Option<LocalImageCacheConfig> = "local";
    }

    /// Local image cache config.
    pub struct LocalImageCacheConfig: "cri.LocalImageCacheConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
    }

    /// Registry auth config.
    pub struct RegistryAuthConfig: "cri.RegistryAuthConfigV1Alpha1", kind "RegistryAuthConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Username.
        username: Option<String> = "username";
        /// Password.
        password: Option<Secret> = "password";
        /// Auth.
        auth: Option<Secret> = "auth";
        /// Identity token.
        identity_token: Option<Secret> = "identityToken";
    }

    /// Registry endpoint.
    pub struct RegistryEndpoint: "cri.RegistryEndpoint" {
        /// Url.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
        /// Override path.
        override_path: Option<bool> = "overridePath";
    }

    /// Registry mirror config.
    pub struct RegistryMirrorConfig: "cri.RegistryMirrorConfigV1Alpha1", kind "RegistryMirrorConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Endpoints.
        endpoints: Vec<RegistryEndpoint> = "endpoints";
        /// Skip fallback.
        skip_fallback: Option<bool> = "skipFallback";
    }

    /// Registry tlsconfig.
    pub struct RegistryTLSConfig: "cri.RegistryTLSConfigV1Alpha1", kind "RegistryTLSConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Client identity.
        client_identity: Option<ClientIdentity> = "clientIdentity";
        /// Ca.
        ca: Option<String> = "ca";
        /// Insecure skip verify.
        insecure_skip_verify: Option<bool> = "insecureSkipVerify";
    }
}
