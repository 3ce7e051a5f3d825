//! The configuration as a platform carries it: base64, in a variable or on a tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Reads base64, wrapped or not, as `base64` writes it.
///
/// # Errors
/// What is wrong with the text, as a sentence's end.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).map_err(|e| e.to_string())
}
