//! What a struct's own text says of it: its comment, and its fields as YAML has them.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Data, DeriveInput, Expr, Fields, Lit, LitStr, Meta};

/// The comment as one paragraph.
fn comment(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| {
        let Meta::NameValue(doc) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(text) = &doc.value else { return None };
        let Lit::Str(text) = &text.lit else { return None };
        doc.path.is_ident("doc").then(|| text.value().trim().to_owned())
    };
    let lines: Vec<String> = attributes.iter().filter_map(line).collect();
    lines.join(" ").trim().to_owned()
}

/// The text of `key = "…"` in one of the `#[serde(…)]`, if it is there.
fn serde_text(attributes: &[Attribute], key: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        // What cannot be read here is serde's to refuse.
        let _ = attribute.parse_nested_meta(|meta| {
            let wanted = meta.path.is_ident(key);
            if meta.input.peek(syn::Token![=]) {
                let text: LitStr = meta.value()?.parse()?;
                if wanted {
                    found = Some(text.value());
                }
            }
            Ok(())
        });
    }
    found
}

/// `link_name` → `linkName`, as serde's `camelCase`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// `DESCRIPTION` and `FIELDS` of `resource::Spec`.
pub(crate) fn constants(input: &DeriveInput) -> TokenStream {
    let description = comment(&input.attrs);
    let camel = serde_text(&input.attrs, "rename_all").as_deref() == Some("camelCase");
    let Data::Struct(data) = &input.data else {
        return TokenStream::new();
    };
    let named = match &data.fields {
        Fields::Named(fields) => fields.named.iter().collect(),
        Fields::Unnamed(_) | Fields::Unit => Vec::new(),
    };
    let fields = named.into_iter().map(|field| {
        let own = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
        let own = own.trim_start_matches("r#");
        let name = serde_text(&field.attrs, "rename");
        let name = name.unwrap_or_else(|| if camel { camel_case(own) } else { own.to_owned() });
        let kind = field.ty.to_token_stream().to_string().replace(' ', "");
        let text = comment(&field.attrs);
        quote!(::resource::Field { name: #name, kind: #kind, description: #text })
    });
    quote! {
        const DESCRIPTION: &'static str = #description;
        const FIELDS: &'static [::resource::Field] = &[#(#fields),*];
    }
}
