//! JSON paths as `kubectl` and the resource definitions' print columns use them: text with expressions in braces,
//! `{.a.b[*].c}`, `{.items[?(@.type=="Ready")].status}`, `{range .items[*]}{.id}{"\n"}{end}`.
//!
//! A missing key selects nothing; it is not an error.

mod eval;
mod parse;

use serde_json::Value;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// Text outside braces, or a string literal inside them.
    Text(String),
    /// Everything an expression selects, joined by spaces.
    Path(Path),
    /// `{range PATH}...{end}`.
    Range(Path, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
struct Path {
    /// Starts at the root (`$`) even inside a range or filter.
    absolute: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    /// Every value of a list or map.
    Wildcard,
    /// The value itself and everything below it.
    Descend,
    /// `[start:end:step]`; negative numbers count from the end.
    Slice(Option<i64>, Option<i64>, i64),
    Index(i64),
    /// `['a','b']` or `[0,2]`.
    Union(Vec<Step>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Exists(Operand),
    Compare(Operand, Comparison, Operand),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(Path),
    Value(Value),
}

impl Template {
    /// Parses a template; one without braces is taken as an expression.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = if text.contains('{') {
            parse::template(text)
        } else {
            parse::template(&format!("{{{text}}}"))
        };
        parts
            .map(Self)
            .map_err(|reason| format!("JSON path \"{text}\": {reason}"))
    }

    /// Fills the template in.
    pub fn render(&self, root: &Value) -> String {
        let mut out = String::new();
        eval::render(&self.0, root, root, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn show(template: &str) -> String {
        let value = json!({
            "spec": {
                "address": "10.0.2.15/24", "up": true, "count": 3, "ratio": 0.5, "nothing": null,
                "addresses": ["10.0.2.15", "fec0::1"],
                "items": [
                    {"type": "Ready", "status": "True", "n": 1, "c": {"d": "x"}},
                    {"type": "Other", "status": "False", "n": 2, "c": {"d": "y"}},
                ],
                "dotted.key": "dot", "a-b/c": "slash", "map": {"b": 2, "a": 1},
            }
        });
        Template::parse(template).unwrap().render(&value)
    }

    #[test]
    fn fields_and_lists_are_selected() {
        for (template, expected) in [
            ("{.spec.address}", "10.0.2.15/24"),
            (".spec.address", "10.0.2.15/24"),
            ("{$.spec.up} {.spec.count} {.spec.ratio}", "true 3 0.5"),
            ("{.spec.addresses}", r#"["10.0.2.15","fec0::1"]"#),
            ("{.spec.map}", r#"{"a":1,"b":2}"#),
            ("{.spec.addresses[*]}", "10.0.2.15 fec0::1"),
            ("{.spec.addresses[0]},{.spec.addresses[-1]}", "10.0.2.15,fec0::1"),
            ("{.spec.items[*].c.d}", "x y"),
            ("{.spec.items[0:1].type}", "Ready"),
            ("{.spec.items[0,1].type}", "Ready Other"),
            ("{.spec['address','up']}", "10.0.2.15/24 true"),
            (
                "{.spec['dotted.key']} {.spec.dotted\\.key} {.spec['a-b/c']} {.spec.a-b/c}",
                "dot dot slash slash",
            ),
            ("{..d}", "x y"),
            ("{.missing.deep[3].x}{.spec.missing}", ""),
            ("plain", ""),
        ] {
            assert_eq!(show(template), expected, "{template}");
        }
    }

    #[test]
    fn filters_compare_with_strings_numbers_and_paths() {
        for (template, expected) in [
            (r#"{.spec.items[?(@.type=="Ready")].status}"#, "True"),
            ("{.spec.items[?(@.type!='Ready')].status}", "False"),
            ("{.spec.items[?(@.n>1)].type}", "Other"),
            ("{.spec.items[?(@.n <= 2)].type}", "Ready Other"),
            ("{.spec.items[?(@.missing)].type}", ""),
            ("{.spec.items[?(@.c)].type}", "Ready Other"),
            ("{.spec.items[?(@.n==$.spec.items[1].n)].type}", "Other"),
            (r#"{.spec.addresses[?(@=="fec0::1")]}"#, "fec0::1"),
        ] {
            assert_eq!(show(template), expected, "{template}");
        }
    }

    #[test]
    fn ranges_repeat_their_body() {
        let template = r#"{range .spec.items[*]}{.type}={@.status}{"\n"}{end}done {'\t'}|"#;
        assert_eq!(show(template), "Ready=True\nOther=False\ndone \t|");
    }

    #[test]
    fn the_current_object_is_the_whole() {
        let value = json!({"b": 1, "a": [true]});
        assert_eq!(Template::parse("{@}").unwrap().render(&value), r#"{"a":[true],"b":1}"#);
        assert_eq!(Template::parse("{}").unwrap().render(&value), "");
    }

    #[test]
    fn mistakes_are_named() {
        for (template, reason) in [
            ("{.a", "no closing \"}\""),
            ("{.a[}", "no closing \"]\""),
            ("{range .a}{.b}", "\"range\" without \"end\""),
            ("{end}", "\"end\" without \"range\""),
            ("{.a[?(@.b~1)]}", "unexpected \"~\""),
            ("{.a[x]}", "\"x\" is not an index"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(reason), "{template}: {error}");
        }
    }
}
