//! The schema of every document kind and field, in one declaration per struct (see [`model!`](crate::schema::macros)).
//!
//! The same declaration drives strict decoding, the typed structs, merging of patches, redaction, validation of formats
//! and the generated reference.

pub mod check;
pub mod field;
pub mod format;
pub mod macros;
pub mod suggest;
pub mod types;

pub use field::Field;
pub use format::Format;

/// What a value may look like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A string that is a secret.
    Secret,
    /// Base64 of bytes; secret or not.
    Bytes {
        /// Whether the bytes are a secret.
        secret: bool,
    },
    /// True or false.
    Bool,
    /// A whole number of 64 bits with sign.
    Integer,
    /// A length of time such as `1m30s`.
    Duration,
    /// An IP address.
    Address,
    /// An IP address with a prefix length, such as `10.0.0.0/8`.
    Prefix,
    /// Permissions of a file, in octal.
    Mode,
    /// A port, or a range of ports such as `1000-2000`.
    Ports,
    /// A string or a list of strings.
    OneOrMany,
    /// Any value; maps and lists in it are not ours to judge.
    Free,
    /// A list.
    List(&'static Shape),
    /// A map with keys of the user's choice.
    Map(&'static Shape),
    /// A map with fixed keys.
    Struct(&'static Struct),
}

impl Shape {
    /// The struct this is, or has as items or values.
    pub fn inner_struct(&self) -> Option<&'static Struct> {
        match self {
            Shape::Struct(inner) => Some(inner),
            Shape::List(inner) | Shape::Map(inner) => inner.inner_struct(),
            _ => None,
        }
    }

    /// The shape of the scalars in it, through lists and maps.
    pub fn leaf(&self) -> &Shape {
        match self {
            Shape::List(inner) | Shape::Map(inner) => inner.leaf(),
            other => other,
        }
    }
}

/// A map with fixed keys.
#[derive(Debug)]
pub struct Struct {
    /// Name of the type, as in the reference.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Set for the documents of a stream.
    pub kind: Option<KindSchema>,
    /// The fields in the order they are written.
    pub fields: &'static [FieldSchema],
}

/// What makes a struct a document.
#[derive(Debug)]
pub struct KindSchema {
    /// Value of `kind`.
    pub kind: &'static str,
    /// Several may exist, told apart by `name`.
    pub named: bool,
    /// The version that added it, for kinds that the current version of Talos does not have.
    pub since: Option<&'static str>,
}

impl Struct {
    /// The field with this key.
    pub fn field(&self, name: &str) -> Option<&'static FieldSchema> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Place of a key in the written order; keys every document has come first, unknown ones last.
    pub fn order(&self, key: &str) -> usize {
        match key {
            "apiVersion" if self.kind.is_some() => 0,
            "kind" if self.kind.is_some() => 1,
            _ => self
                .fields
                .iter()
                .position(|field| field.name == key)
                .map_or(usize::MAX, |i| i + 2),
        }
    }
}

/// How a patch's value joins what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Scalars replace, lists append, maps and structs merge.
    Natural,
    /// The patch's value replaces the old one whole.
    Replace,
    /// List items that have one of these keys, with equal values, merge; others are appended.
    ByKey(&'static [&'static str]),
}

/// One field of a [`Struct`].
#[derive(Debug)]
pub struct FieldSchema {
    /// The key.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// Must be given.
    pub required: bool,
    /// What its strings must look like; checked on decoding.
    pub format: Format,
    /// What its strings must look like; checked on validation, because old configurations with other values load.
    pub check: Format,
    /// How patches merge.
    pub merge: Merge,
    /// A free-form value in which any string may be a secret.
    pub sensitive: bool,
    /// What to use instead, for fields that are on their way out.
    pub deprecated: Option<&'static str>,
    /// The version that added it, if the current one does not have it.
    pub since: Option<&'static str>,
}

impl FieldSchema {
    /// An optional field with no further rules.
    pub const fn new(name: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self {
            name,
            doc,
            shape,
            required: false,
            format: Format::Any,
            check: Format::Any,
            merge: Merge::Natural,
            sensitive: false,
            deprecated: None,
            since: None,
        }
    }

    /// Must be given.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Its strings must look like this to be decoded.
    #[must_use]
    pub const fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Its strings must be one of these.
    #[must_use]
    pub const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        self.format = Format::OneOf(values);
        self
    }

    /// Its strings must look like this to be valid.
    #[must_use]
    pub const fn check(mut self, format: Format) -> Self {
        self.check = format;
        self
    }

    /// A patch's value replaces the old one whole.
    #[must_use]
    pub const fn replaced(mut self) -> Self {
        self.merge = Merge::Replace;
        self
    }

    /// List items with equal values of one of these keys merge.
    #[must_use]
    pub const fn by_key(mut self, keys: &'static [&'static str]) -> Self {
        self.merge = Merge::ByKey(keys);
        self
    }

    /// Any string in its free-form value may be a secret.
    #[must_use]
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// On its way out; says what to use instead.
    #[must_use]
    pub const fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = Some(instead);
        self
    }

    /// Added by this version.
    #[must_use]
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = Some(version);
        self
    }
}
