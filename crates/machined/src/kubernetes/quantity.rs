//! Kubernetes quantities.

/// Bytes of a quantity such as `512Mi`, `1G` or `1e9`; `None` if it is not one.
pub fn bytes(quantity: &str) -> Option<u64> {
    // The range is checked, so the cast cannot surprise.
    value(quantity).map(|bytes| bytes as u64)
}

/// The number a quantity stands for; `None` if it is not one, or negative.
pub fn value(quantity: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 13] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
    ];
    let text = quantity.trim();
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '+') {
        return None;
    }
    let value = number.parse::<f64>().ok()? * factor;
    (value.is_finite() && (0.0..1e19).contains(&value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_bytes() {
        assert_eq!(bytes("512Mi"), Some(512 * 1024 * 1024));
        assert_eq!(bytes("1.5G"), Some(1_500_000_000));
        assert_eq!(bytes("1e6"), Some(1_000_000));
        assert_eq!(bytes("1048576"), Some(1_048_576));
        for wrong in ["", "Mi", "-1", "1Xi", "NaN", "inf"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
