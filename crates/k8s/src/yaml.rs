//! YAML as Kubernetes reads and writes it.

use pki::Secret;
use serde_json::Value;

use crate::Error;

/// The documents of a YAML (or JSON) stream; empty ones are skipped. `0644` is octal and `yes` is true, as in the YAML
/// 1.1 that Kubernetes' own tools read.
///
/// # Errors
/// The text is not YAML, or too large. Only the first line of the parser's words is kept, because it quotes the text,
/// which may hold secrets.
pub fn documents(text: &[u8]) -> Result<Vec<Value>, Error> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        // Bundles of custom resource definitions are large.
        budget: serde_saphyr::budget! { max_events: 5_000_000, max_nodes: 2_000_000 },
    };
    let documents: Vec<Value> = serde_saphyr::from_slice_multiple_with_options(text, options).map_err(|e| {
        Error::Setup(format!(
            "not valid YAML: {}",
            e.to_string().lines().next().unwrap_or_default()
        ))
    })?;
    Ok(documents.into_iter().filter(|d| !d.is_null()).collect())
}

/// A value as block YAML without folded lines.
///
/// # Errors
/// A number that YAML has no form for.
pub fn encode(value: &Value) -> Result<Secret, Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, compact_list_indent: true };
    serde_saphyr::to_string_with_options(value, options)
        .map(Secret::from)
        .map_err(|e| Error::Setup(format!("cannot write YAML: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stream_is_read_as_kubernetes_reads_it() {
        let text = b"---\n# only a comment\n---\na: 0644\nb: 'yes'\n---\n{\"c\": [1]}\n";
        assert_eq!(
            documents(text).unwrap(),
            [json!({"a": 420, "b": "yes"}), json!({"c": [1]})]
        );
        let error = documents(b"a: [").unwrap_err().to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    #[test]
    fn what_is_written_reads_back() {
        let value = json!({"a": "x\ny\n", "b": ["0644", "true", ""], "c": {}, "d": [], "e": "a ".repeat(80)});
        assert_eq!(documents(encode(&value).unwrap().expose()).unwrap(), [value]);
    }
}
