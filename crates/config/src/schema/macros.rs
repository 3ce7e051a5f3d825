//! The declaration of structs: fields, keys, types and rules in one place.

/// Declares structs of the configuration. Each becomes a Rust struct whose fields are read from and written to a
/// checked tree, and a [`Struct`](crate::schema::Struct) that describes it.
///
/// ```ignore
/// model! {
///     /// An address of a link.
///     pub struct AddressConfig: "network.AddressConfig" {
///         /// The address with its prefix length.
///         address: Option<Prefix> = "address".required();
///     }
///     /// Names the machine.
///     pub struct HostnameConfig: "network.HostnameConfigV1Alpha1", kind "HostnameConfig" { … }
///     /// (named: several may exist) (since: not yet in the current version of Talos)
///     pub struct VethConfig: "network.VethConfigV1Alpha1", kind "VethConfig" named since "v1.14" { … }
/// }
/// ```
macro_rules! model {
    ($(
        $(#[doc = $doc:literal])*
        pub struct $name:ident : $type_name:literal $(, kind $kind:literal $($option:ident $($since:literal)?)*)? {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident : $type:ty = $key:literal $(. $rule:ident ( $($arg:expr),* ))* ;
            )*
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                pub $field: $type,
            )*
        }

        impl $crate::schema::types::Described for $name {
            const STRUCT: &'static $crate::schema::Struct = &$crate::schema::Struct {
                name: $type_name,
                doc: concat!($($doc, "\n"),*),
                kind: model!(@kind $($kind $($option $($since)?)*)?),
                fields: &[$(
                    $crate::schema::FieldSchema::new(
                        $key,
                        concat!($($field_doc, "\n"),*),
                        <$type as $crate::schema::Field>::SHAPE,
                    )$(. $rule ( $($arg),* ))*
                ),*],
            };
        }

        impl $crate::schema::Field for $name {
            const SHAPE: $crate::schema::Shape =
                $crate::schema::Shape::Struct(<$name as $crate::schema::types::Described>::STRUCT);

            fn read(node: &$crate::yaml::node::Node) -> Option<Self> {
                #[allow(unused_variables)]
                let map = node.as_map()?;
                Some(Self {
                    $($field: map.get($key).and_then(<$type as $crate::schema::Field>::read).unwrap_or_default(),)*
                })
            }

            fn write(&self) -> Option<$crate::yaml::node::Node> {
                #[allow(unused_mut)]
                let mut map = $crate::yaml::node::Map::default();
                $(
                    if let Some(node) = $crate::schema::Field::write(&self.$field) {
                        map.insert($key, node);
                    }
                )*
                Some($crate::yaml::node::Node::new($crate::yaml::node::Value::Map(map)))
            }
        }

        $(model!(@document $name $kind);)?
    )*};
    (@document $name:ident $kind:literal) => {
        impl $crate::schema::types::Kind for $name {
            const KIND: &'static str = $kind;
        }
    };
    (@kind) => { None };
    (@kind $kind:literal) => { model!(@make $kind, false, None) };
    (@kind $kind:literal named) => { model!(@make $kind, true, None) };
    (@kind $kind:literal since $since:literal) => { model!(@make $kind, false, Some($since)) };
    (@kind $kind:literal named since $since:literal) => { model!(@make $kind, true, Some($since)) };
    (@make $kind:literal, $named:literal, $since:expr) => {
        Some($crate::schema::KindSchema { kind: $kind, named: $named, since: $since })
    };
}

pub(crate) use model;
