//! "Did you mean …?"

/// The candidate closest to a misspelt word, if one is close enough to be what was meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 100 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    candidates
        .into_iter()
        .map(|candidate| {
            let same = plain(candidate) == plain(&word);
            let distance = if same {
                0
            } else {
                distance(&word, &candidate.to_ascii_lowercase())
            };
            (distance, candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .map(|(_, candidate)| candidate)
}

/// Number of letters to add, drop, change or swap to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let keys = ["hostname", "interfaces", "nameservers", "certSANs"];
        assert_eq!(closest("hostnmae", keys), Some("hostname"));
        assert_eq!(closest("interface", keys), Some("interfaces"));
        assert_eq!(closest("certsans", keys), Some("certSANs"));
        assert_eq!(closest("cert_sans", keys), Some("certSANs"));
        assert_eq!(closest("volume", keys), None);
    }
}
