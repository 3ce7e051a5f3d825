//! `#[derive(Message)]`: the fields of a struct as protobuf.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Error, Fields, Index, LitInt, Path, Result, Token, ext::IdentExt, parse::ParseStream};

/// A field that is encoded.
struct Field {
    /// `name` or `0`.
    access: TokenStream,
    number: u32,
    /// The module that encodes it, if its type does not do that itself.
    with: Option<Path>,
}

fn numbered_fields(input: &DeriveInput) -> Result<Vec<Field>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "only a struct can be a protobuf message",
        ));
    };
    let mut found = Vec::new();
    for (position, field) in data.fields.iter().enumerate() {
        let access = match &data.fields {
            Fields::Unnamed(_) => Index::from(position).into_token_stream(),
            Fields::Named(_) | Fields::Unit => field.ident.to_token_stream(),
        };
        let Some(attribute) = field.attrs.iter().find(|a| a.path().is_ident("field")) else {
            return Err(Error::new_spanned(
                field,
                "say its protobuf number: #[field(1)], or #[field(skip)]",
            ));
        };
        let encoding: Option<(LitInt, Option<Path>)> = attribute.parse_args_with(|tokens: ParseStream| {
            if tokens.peek(LitInt) {
                let number = tokens.parse()?;
                let with = match tokens.parse::<Option<Token![,]>>()? {
                    Some(_) => Some(with_module(tokens)?),
                    None => None,
                };
                return Ok(Some((number, with)));
            }
            let word = tokens.call(syn::Ident::parse_any)?;
            if word == "skip" {
                Ok(None)
            } else {
                Err(Error::new_spanned(word, "expected a number or `skip`"))
            }
        })?;
        if let Some((number, with)) = encoding {
            let value: u32 = number.base10_parse()?;
            if value == 0 || found.iter().any(|other: &Field| other.number == value) {
                return Err(Error::new_spanned(
                    number,
                    "protobuf numbers start at 1 and are used once",
                ));
            }
            found.push(Field {
                access,
                number: value,
                with,
            });
        }
    }
    found.sort_by_key(|field| field.number);
    Ok(found)
}

/// `with = module`
fn with_module(tokens: ParseStream) -> Result<Path> {
    let word = tokens.call(syn::Ident::parse_any)?;
    if word != "with" {
        return Err(Error::new_spanned(word, "expected `with = module`"));
    }
    tokens.parse::<Token![=]>()?;
    tokens.parse()
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let name = &input.ident;
    let (generics, type_generics, bounds) = input.generics.split_for_impl();
    let lines = numbered_fields(input)?
        .into_iter()
        .map(|Field { access, number, with }| match with {
            Some(module) => quote!(#module::encode_field(&self.#access, #number, out);),
            None => quote!(::resource::proto::ProtoValue::encode_field(&self.#access, #number, out);),
        });
    Ok(quote! {
        impl #generics ::resource::proto::Message for #name #type_generics #bounds {
            #[allow(unused_variables)]
            fn encode_fields(&self, out: &mut ::std::vec::Vec<u8>) {
                #(#lines)*
            }
        }
        impl #generics ::resource::proto::ProtoValue for #name #type_generics #bounds {
            fn encode(&self, number: u32, out: &mut ::std::vec::Vec<u8>) {
                ::resource::proto::encode_message(self, number, out);
            }
            fn is_default(&self) -> bool {
                ::resource::proto::is_empty_message(self)
            }
        }
    })
}
