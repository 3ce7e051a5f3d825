//! Secrets that are known by where they stand in an object, not by their value.

use pki::REDACTED;
use serde_json::Value;

/// Parts of the names of environment variables and headers whose values are not shown.
const TELLING: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL", "APIKEY"];

/// Hides the contents of Kubernetes secrets, telling environment variables and the headers of requests, wherever they
/// are. Whether there was anything to hide.
pub fn veil(value: &mut Value) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |any, item| veil(item) | any),
        Value::Object(map) => {
            let mut any = false;
            if map.get("kind").is_some_and(|kind| kind == "Secret") {
                for field in ["data", "stringData"] {
                    any |= map.get_mut(field).is_some_and(hide);
                }
            }
            if map.get("name").and_then(Value::as_str).is_some_and(is_telling) {
                any |= map.get_mut("value").is_some_and(hide);
            }
            for (key, inner) in map.iter_mut() {
                let is_headers = key.to_ascii_lowercase().ends_with("headers");
                any |= if is_headers { hide(inner) } else { veil(inner) };
            }
            any
        }
        _ => false,
    }
}

fn is_telling(name: &str) -> bool {
    let name: String = name
        .to_ascii_uppercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    TELLING.iter().any(|word| name.contains(word))
}

/// Hides every string of a value.
fn hide(value: &mut Value) -> bool {
    match value {
        Value::String(text) if !text.is_empty() => {
            REDACTED.clone_into(text);
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| hide(item) | any),
        Value::Object(map) => map.values_mut().fold(false, |any, item| hide(item) | any),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contents_of_secrets_variables_and_headers_are_hidden_and_the_rest_stays() {
        let mut value = json!([
            {"kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token-secret": "x"}},
            {"kind": "Pod", "spec": {"containers": [{"env": [
                {"name": "DB_PASSWORD", "value": "x"}, {"name": "MODE", "value": "fast"}, {"name": "API_KEY", "value": "x"}]}]}},
            {"extraHeaders": {"Authorization": "x"}, "data": {"a": "b"}},
        ]);
        assert!(veil(&mut value));
        let text = value.to_string();
        assert!(!text.contains("\"x\""), "{text}");
        assert!(
            text.contains("fast") && text.contains("\"b\"") && text.contains("\"token\""),
            "{text}"
        );
        assert!(!veil(&mut json!({"kind": "ConfigMap", "data": {"a": "b"}})));
    }
}
