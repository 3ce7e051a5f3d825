//! Which resources of a list or watch are meant.

use regex_lite::Regex;

use super::StoreError;
use crate::metadata::{Labels, Metadata};

/// How a label is compared, with the numbers of `cosi.resource.LabelTerm.Operation`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum LabelOp {
    /// The label is there.
    Exists = 0,
    /// It is the first value.
    Equal = 1,
    /// The label is not there.
    NotExists = 2,
    /// It is one of the values.
    In = 3,
    /// It sorts before the first value.
    Lt = 4,
    /// It sorts before the first value or is it.
    Lte = 5,
    /// As a number it is less.
    LtNumeric = 6,
    /// As a number it is not more.
    LteNumeric = 7,
}

impl LabelOp {
    /// From its number on the wire.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        use LabelOp::{Equal, Exists, In, Lt, LtNumeric, Lte, LteNumeric, NotExists};
        [Exists, Equal, NotExists, In, Lt, Lte, LtNumeric, LteNumeric]
            .into_iter()
            .find(|op| *op as i32 == number)
    }
}

/// One condition on one label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelTerm {
    /// The label.
    pub key: String,
    /// How it is compared.
    pub op: LabelOp,
    /// With what.
    pub values: Vec<String>,
    /// The condition must not hold.
    pub invert: bool,
}

impl LabelTerm {
    /// `key` equals `value`.
    #[must_use]
    pub fn equal(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            op: LabelOp::Equal,
            values: vec![value.to_owned()],
            invert: false,
        }
    }

    /// Whether labels meet it.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let label = labels.get(&self.key);
        let first = self.values.first();
        let compare = |test: fn(&str, &str) -> bool| label.zip(first).is_some_and(|(label, value)| test(label, value));
        let numeric = |test: fn(f64, f64) -> bool| {
            label
                .zip(first)
                .and_then(|(label, value)| Some(test(number(label)?, number(value)?)))
                .unwrap_or(false)
        };
        let holds = match self.op {
            LabelOp::Exists => label.is_some(),
            LabelOp::NotExists => label.is_none(),
            LabelOp::Equal => compare(|label, value| label == value),
            LabelOp::In => label.is_some_and(|label| self.values.contains(label)),
            LabelOp::Lt => compare(|label, value| label < value),
            LabelOp::Lte => compare(|label, value| label <= value),
            LabelOp::LtNumeric => numeric(|label, value| label < value),
            LabelOp::LteNumeric => numeric(|label, value| label <= value),
        };
        holds != self.invert
    }
}

/// A number, or a size such as `16 GiB`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+'))
        .unwrap_or(text.len());
    let (value, unit) = (text[..digits].parse::<f64>().ok()?, text[digits..].trim());
    let (prefix, base) = match unit.strip_suffix("iB").or_else(|| unit.strip_suffix('i')) {
        Some(prefix) => (prefix, 1024_f64),
        None => (unit.strip_suffix('B').unwrap_or(unit), 1000_f64),
    };
    let power = match prefix.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return None,
    };
    Some(value * base.powi(power))
}

/// Conditions that must all hold.
pub type LabelQuery = Vec<LabelTerm>;

/// Which resources are meant; everything if empty.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// One of these must hold; none means that labels do not matter.
    pub labels: Vec<LabelQuery>,
    id: Option<Regex>,
}

impl Selector {
    /// Resources that meet one of the label queries, and whose id has a match of the regular expression.
    pub fn new(labels: Vec<LabelQuery>, id_regexp: Option<&str>) -> Result<Self, StoreError> {
        let id = id_regexp
            .filter(|pattern| !pattern.is_empty())
            .map(Regex::new)
            .transpose();
        let id =
            id.map_err(|error| StoreError::Query(format!("read the id query as a regular expression: {error}")))?;
        Ok(Self { labels, id })
    }

    /// Whether everything is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.id.is_none()
    }

    /// Whether a resource is meant.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let by_label = || {
            self.labels
                .iter()
                .any(|query| query.iter().all(|term| term.matches(&metadata.labels)))
        };
        (self.labels.is_empty() || by_label()) && self.id.as_ref().is_none_or(|id| id.is_match(&metadata.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(op: i32, values: &[&str], label: Option<&str>) -> bool {
        let labels = label
            .map(|label| ("k".to_owned(), label.to_owned()))
            .into_iter()
            .collect();
        let values = values.iter().map(|v| (*v).to_owned()).collect();
        let term = LabelTerm {
            key: "k".to_owned(),
            op: LabelOp::from_number(op).unwrap(),
            values,
            invert: false,
        };
        let holds = term.matches(&labels);
        assert_eq!(LabelTerm { invert: true, ..term }.matches(&labels), !holds);
        holds
    }

    #[test]
    fn every_operation_compares_as_its_name_says() {
        assert!(holds(0, &[], Some("")) && !holds(0, &[], None));
        assert!(holds(1, &["a"], Some("a")) && !holds(1, &["a"], Some("b")) && !holds(1, &["a"], None));
        assert!(holds(2, &[], None) && !holds(2, &[], Some("a")));
        assert!(holds(3, &["a", "b"], Some("b")) && !holds(3, &["a", "b"], Some("c")));
        assert!(holds(4, &["b"], Some("a")) && !holds(4, &["b"], Some("b")) && holds(5, &["b"], Some("b")));
        assert!(holds(6, &["10"], Some("9")) && !holds(6, &["9"], Some("10")) && holds(7, &["10"], Some("10")));
        assert!(holds(6, &["1 GiB"], Some("900 MiB")) && !holds(6, &["10"], Some("x")));
    }

    #[test]
    fn terms_of_a_query_must_all_hold_and_one_query_is_enough() {
        let metadata = Metadata {
            id: "eth0/10.0.0.1".to_owned(),
            labels: Labels::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
            ..Metadata::default()
        };
        let select = |labels: Vec<LabelQuery>, id| Selector::new(labels, id).unwrap().matches(&metadata);
        let (yes, no) = (LabelTerm::equal("a", "1"), LabelTerm::equal("a", "2"));
        assert!(!select(vec![vec![yes.clone(), no.clone()]], None));
        assert!(select(vec![vec![no], vec![yes]], None));
        assert!(select(vec![], Some("^eth[0-9]/")) && !select(vec![], Some("^lo/")));
        assert!(Selector::new(vec![], Some("(")).is_err());
    }
}
