//! How many control planes make sense.

use crate::output::note;

/// Warns of a number of control planes that costs more than it gives: etcd works while more than half of its members
/// do, so an even number survives no more losses than one less, and has one machine more that can be lost.
pub fn warn(control_planes: usize) {
    if let Some(warning) = warning(control_planes) {
        note(&warning);
    }
}

fn warning(count: usize) -> Option<String> {
    if count == 0 || !count.is_multiple_of(2) {
        return None;
    }
    let survived = match (count - 1) / 2 {
        0 => "the loss of none".to_owned(),
        lost => format!("the loss of {lost}"),
    };
    Some(format!(
        "warning: {count} control planes survive {survived}, as {} would: etcd works while more than half of its members \
         do. An odd number is better: {} or {}",
        count - 1,
        count - 1,
        count + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_number_is_warned_of_with_the_reason() {
        assert_eq!([1, 3, 5].map(warning), [None, None, None]);
        let two = warning(2).unwrap();
        assert!(
            two.contains("2 control planes survive the loss of none, as 1 would"),
            "{two}"
        );
        let four = warning(4).unwrap();
        assert!(
            four.contains("4 control planes survive the loss of 1, as 3 would"),
            "{four}"
        );
        assert!(four.ends_with("3 or 5"), "{four}");
    }
}
