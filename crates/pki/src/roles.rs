//! Roles of the machine API: the Organizations of a client certificate.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One role. Roles nobody knows are kept (they may mean something to a newer node) and allow nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// Everything.
    pub const ADMIN: Role = Role(Cow::Borrowed("os:admin"));
    /// Reading, and operating what runs: reboot, restart, etcd maintenance.
    pub const OPERATOR: Role = Role(Cow::Borrowed("os:operator"));
    /// Reading what is not secret.
    pub const READER: Role = Role(Cow::Borrowed("os:reader"));
    /// Taking etcd snapshots.
    pub const ETCD_BACKUP: Role = Role(Cow::Borrowed("os:etcd:backup"));
    /// Verifying images.
    pub const IMAGE_VERIFIER: Role = Role(Cow::Borrowed("os:image:verifier"));
    /// Writing META values.
    pub const META_WRITER: Role = Role(Cow::Borrowed("os:meta:writer"));
    /// Node to node: speak for the caller with the roles that are forwarded.
    pub const IMPERSONATOR: Role = Role(Cow::Borrowed("os:impersonator"));

    /// Every role that means something.
    pub const KNOWN: [Role; 7] = [
        Role::ADMIN,
        Role::OPERATOR,
        Role::READER,
        Role::ETCD_BACKUP,
        Role::IMAGE_VERIFIER,
        Role::META_WRITER,
        Role::IMPERSONATOR,
    ];

    /// The role of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// Its name as it stands in a certificate.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is one of [`Role::KNOWN`].
    pub fn is_known(&self) -> bool {
        Self::KNOWN.contains(self)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The roles of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleSet(pub BTreeSet<Role>);

impl RoleSet {
    /// From the organizations of a certificate; empty ones are dropped.
    pub fn from_organizations<S: AsRef<str>>(organizations: &[S]) -> Self {
        Self(
            organizations
                .iter()
                .map(AsRef::as_ref)
                .filter(|o| !o.is_empty())
                .map(Role::new)
                .collect(),
        )
    }

    /// A set of the given roles.
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().cloned().collect())
    }

    /// Whether the role is in it.
    pub fn includes(&self, role: &Role) -> bool {
        self.0.contains(role)
    }

    /// Whether any of these roles is in it.
    pub fn includes_any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.includes(role))
    }

    /// Whether there is no role.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The roles in order.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }

    /// The names of the roles in order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(Role::to_string).collect()
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_roles_are_kept_and_empty_ones_dropped() {
        let roles = RoleSet::from_organizations(&["os:admin", "", "os:future"]);
        assert_eq!(roles.names(), ["os:admin", "os:future"]);
        assert!(roles.includes(&Role::ADMIN) && !roles.includes(&Role::READER));
        assert!(!Role::new("os:future").is_known());
    }
}
