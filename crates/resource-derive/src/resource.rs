//! `#[derive(Resource)]`: the constants of a resource type, and its fields as protobuf.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    DeriveInput, Error, LitStr, Result, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

struct Column {
    name: LitStr,
    path: LitStr,
}

impl Parse for Column {
    fn parse(input: ParseStream) -> Result<Self> {
        let name = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self {
            name,
            path: input.parse()?,
        })
    }
}

#[derive(Default)]
struct Settings {
    ty: Option<LitStr>,
    namespace: Option<LitStr>,
    aliases: Vec<LitStr>,
    columns: Vec<Column>,
    sensitive: bool,
    skip_aliases: bool,
}

fn settings(input: &DeriveInput) -> Result<Settings> {
    let mut found = Settings::default();
    for attribute in input.attrs.iter().filter(|a| a.path().is_ident("resource")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("type") {
                found.ty = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("namespace") {
                found.namespace = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("aliases") {
                let content;
                parenthesized!(content in meta.input);
                found
                    .aliases
                    .extend(Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?);
            } else if meta.path.is_ident("column") {
                let content;
                parenthesized!(content in meta.input);
                found
                    .columns
                    .extend(Punctuated::<Column, Token![,]>::parse_terminated(&content)?);
            } else if meta.path.is_ident("sensitive") {
                found.sensitive = true;
            } else if meta.path.is_ident("skip_aliases") {
                found.skip_aliases = true;
            } else {
                return Err(meta.error("expected type, namespace, aliases, column, sensitive or skip_aliases"));
            }
            Ok(())
        })?;
    }
    Ok(found)
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let message = crate::message::expand(input)?;
    let Settings {
        ty,
        namespace,
        aliases,
        columns,
        sensitive,
        skip_aliases,
    } = settings(input)?;
    let missing = |what: &str| Error::new_spanned(&input.ident, format!("#[resource({what} = \"…\")] is missing"));
    let ty = ty.ok_or_else(|| missing("type"))?;
    let namespace = namespace.ok_or_else(|| missing("namespace"))?;
    if !ty.value().contains('.') {
        return Err(Error::new_spanned(ty, "a resource type reads Plural.area.domain"));
    }
    let name = &input.ident;
    let (generics, type_generics, bounds) = input.generics.split_for_impl();
    let text = crate::document::constants(input);
    let (titles, paths) = (columns.iter().map(|c| &c.name), columns.iter().map(|c| &c.path));
    Ok(quote! {
        #message
        impl #generics ::resource::Spec for #name #type_generics #bounds {
            const TYPE: &'static str = #ty;
            const NAMESPACE: &'static str = #namespace;
            const ALIASES: &'static [&'static str] = &[#(#aliases),*];
            const COLUMNS: &'static [(&'static str, &'static str)] = &[#((#titles, #paths)),*];
            #text
            const SENSITIVE: bool = #sensitive;
            const SKIP_AUTOMATIC_ALIASES: bool = #skip_aliases;
        }
    })
}
