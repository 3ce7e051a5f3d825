//! `#[derive(ProtoEnum)]`: a number on the wire, a name in YAML.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Expr, Fields, Ident, LitStr, Result, Token, Variant};

struct Named<'a> {
    variant: &'a Ident,
    number: Expr,
    names: Vec<LitStr>,
}

fn named(variant: &Variant) -> Result<Named<'_>> {
    let attribute = variant
        .attrs
        .iter()
        .find(|a| a.path().is_ident("value"))
        .ok_or_else(|| {
            Error::new_spanned(
                variant,
                "say its number and name: #[value(2, \"inet4\")], or #[other(\"…{}…\")]",
            )
        })?;
    attribute.parse_args_with(|tokens: syn::parse::ParseStream| {
        let number = tokens.parse()?;
        let mut names = Vec::new();
        while tokens.parse::<Option<Token![,]>>()?.is_some() && !tokens.is_empty() {
            names.push(tokens.parse()?);
        }
        if names.is_empty() {
            return Err(tokens.error("expected the name used in YAML"));
        }
        Ok(Named {
            variant: &variant.ident,
            number,
            names,
        })
    })
}

/// The variant that holds any other number, with the text around it.
fn other(variant: &Variant) -> Result<Option<(&Ident, String, String)>> {
    let Some(attribute) = variant.attrs.iter().find(|a| a.path().is_ident("other")) else {
        return Ok(None);
    };
    let pattern: LitStr = attribute.parse_args()?;
    let text = pattern.value();
    let Some((before, after)) = text.split_once("{}") else {
        return Err(Error::new_spanned(
            pattern,
            "say where the number stands: \"Family({})\"",
        ));
    };
    if !matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1) {
        return Err(Error::new_spanned(
            variant,
            "the other variant holds the number: Other(i32)",
        ));
    }
    Ok(Some((&variant.ident, before.to_owned(), after.to_owned())))
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "only an enum can be a protobuf enumeration",
        ));
    };
    let name = &input.ident;
    let (mut values, mut rest) = (Vec::new(), None);
    for variant in &data.variants {
        match other(variant)? {
            Some(found) => rest = Some(found),
            None => values.push(named(variant)?),
        }
    }
    let variants: Vec<_> = values.iter().map(|v| v.variant).collect();
    let numbers: Vec<_> = values.iter().map(|v| &v.number).collect();
    let written: Vec<_> = values.iter().map(|v| &v.names[0]).collect();
    let read: Vec<_> = values
        .iter()
        .flat_map(|v| v.names.iter().map(|n| (n, v.variant)))
        .collect();
    let (read_names, read_variants) = (read.iter().map(|r| r.0), read.iter().map(|r| r.1));
    let (other_number, other_name, other_from, other_parse) = match rest {
        Some((variant, before, after)) => (
            quote!(Self::#variant(number) => *number,),
            quote!(Self::#variant(number) => ::std::format!("{}{}{}", #before, number, #after).into(),),
            quote!(Some(Self::#variant(number))),
            quote! {
                if let Some(number) = text
                    .strip_prefix(#before)
                    .and_then(|rest| rest.strip_suffix(#after))
                    .and_then(|number| number.parse::<i32>().ok())
                {
                    return Ok(Self::#variant(number));
                }
            },
        ),
        None => (quote!(), quote!(), quote!(None), quote!()),
    };
    let what = name.to_string();
    Ok(quote! {
        impl #name {
            /// Its number on the wire.
            #[must_use]
            pub fn number(&self) -> i32 {
                match self { #(Self::#variants => #numbers,)* #other_number }
            }
            /// The value with this number, if there is one.
            #[must_use]
            pub fn from_number(number: i32) -> Option<Self> {
                #(if number == #numbers { return Some(Self::#variants); })*
                #other_from
            }
            /// Its name in YAML.
            #[must_use]
            pub fn name(&self) -> ::std::borrow::Cow<'static, str> {
                match self { #(Self::#variants => ::std::borrow::Cow::Borrowed(#written),)* #other_name }
            }
        }
        impl ::std::fmt::Display for #name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.name())
            }
        }
        impl ::std::str::FromStr for #name {
            type Err = ::resource::proto::UnknownName;
            fn from_str(text: &str) -> ::std::result::Result<Self, Self::Err> {
                match text { #(#read_names => return Ok(Self::#read_variants),)* _ => {} }
                #other_parse
                Err(::resource::proto::UnknownName::new(#what, text, &[#(#written),*]))
            }
        }
        impl ::resource::serde::Serialize for #name {
            fn serialize<S: ::resource::serde::Serializer>(&self, to: S) -> ::std::result::Result<S::Ok, S::Error> {
                to.serialize_str(&self.name())
            }
        }
        impl<'de> ::resource::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::resource::serde::Deserializer<'de>>(from: D) -> ::std::result::Result<Self, D::Error> {
                let text = <::std::string::String as ::resource::serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(::resource::serde::de::Error::custom)
            }
        }
        impl ::resource::proto::ProtoValue for #name {
            fn encode(&self, number: u32, out: &mut ::std::vec::Vec<u8>) {
                ::resource::proto::ProtoValue::encode(&self.number(), number, out);
            }
            fn is_default(&self) -> bool {
                self.number() == 0
            }
            fn encode_repeated(items: &[Self], number: u32, out: &mut ::std::vec::Vec<u8>) {
                let numbers: ::std::vec::Vec<i32> = items.iter().map(Self::number).collect();
                ::resource::proto::ProtoValue::encode_field(&numbers, number, out);
            }
        }
    })
}
