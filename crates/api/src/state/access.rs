//! Who may see and change which resources.

use std::collections::BTreeSet;
use std::sync::Arc;

use pki::roles::{Role, RoleSet};
use resource::{Definition, Store};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::roles;

/// The rule by which callers of a socket are let in.
#[derive(Clone, Debug)]
pub enum Access {
    /// By the roles in the metadata: readers see what is not sensitive, administrators everything; administrators
    /// write the types that are meant to be written from outside.
    Roles,
    /// A node without configuration: everyone sees what is not sensitive, nobody writes.
    Maintenance,
    /// A socket of one confined program, which is its own permission: it sees these types (sensitive or not) and
    /// nothing else, and writes nothing.
    Only(BTreeSet<String>),
}

impl Access {
    /// A private socket for these types, such as `["ApiCertificates.secrets.talos.dev"]`.
    pub fn only<S: Into<String>>(types: impl IntoIterator<Item = S>) -> Self {
        Access::Only(types.into_iter().map(Into::into).collect())
    }

    /// The type that `name` stands for, if the caller may read it with the call at `path`.
    pub(super) fn read(
        &self,
        path: &str,
        metadata: &MetadataMap,
        store: &Store,
        name: &str,
    ) -> Result<Arc<Definition>, Status> {
        let roles = roles::of_metadata(metadata);
        if matches!(self, Access::Roles) {
            roles::authorize(path, &roles)?;
        }
        let definition = store.resolve(name).map_err(super::convert::refused)?;
        if self.sees(&roles, &definition) {
            Ok(definition)
        } else {
            Err(Status::permission_denied(roles::NOT_AUTHORIZED))
        }
    }

    /// Whether resources of a type are shown to somebody with these roles.
    pub(super) fn sees(&self, roles: &RoleSet, definition: &Definition) -> bool {
        match self {
            Access::Roles => !definition.sensitive || roles.includes(&Role::ADMIN),
            Access::Maintenance => !definition.sensitive,
            Access::Only(types) => types.contains(&definition.ty),
        }
    }

    /// The type that `name` stands for, if the caller may write it.
    pub(super) fn write(
        &self,
        path: &str,
        metadata: &MetadataMap,
        store: &Store,
        name: &str,
    ) -> Result<Arc<Definition>, Status> {
        match self {
            Access::Roles => roles::authorize(path, &roles::of_metadata(metadata))?,
            Access::Maintenance => return Err(Status::new(Code::Unimplemented, roles::NOT_IN_MAINTENANCE)),
            Access::Only(_) => return Err(Status::permission_denied("this socket is for reading")),
        }
        let definition = store.resolve(name).map_err(super::convert::refused)?;
        if definition.writable {
            Ok(definition)
        } else {
            Err(super::convert::refused(resource::StoreError::ReadOnly(
                definition.ty.clone(),
            )))
        }
    }
}
