//! Command lines of Kubernetes' components: managed flags, and how the configuration's `extraArgs` change them.

use std::collections::BTreeMap;

pub use config::arguments::{FlagError, Rules};

/// `extraArgs` of the machine configuration: name without dashes → one or several values.
pub type ExtraArgs = BTreeMap<String, Vec<String>>;

/// Flags by name, each with its values; rendered in alphabetical order, so that equal inputs give equal pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<String, Vec<String>>);

impl Flags {
    /// No flags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a flag.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.0.insert(name.to_owned(), vec![value.into()]);
        self
    }

    /// Sets several flags.
    pub fn set_all<V: Into<String>>(&mut self, flags: impl IntoIterator<Item = (&'static str, V)>) -> &mut Self {
        for (name, value) in flags {
            self.set(name, value);
        }
        self
    }

    /// Removes a flag.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.remove(name);
        self
    }

    /// The values of a flag.
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Takes extra arguments: they replace, add to a list, or are refused, as the rules say. All of them are checked
    /// before one is taken.
    ///
    /// # Errors
    /// The first argument, by name, that is refused.
    pub fn merge(&mut self, extra: &ExtraArgs, rules: &Rules) -> Result<(), FlagError> {
        rules.check(extra.keys())?;
        for (name, values) in extra {
            if rules.additive.contains(&name.as_str()) {
                let mut all: Vec<&str> = Vec::new();
                let present = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
                for value in present
                    .iter()
                    .chain(values)
                    .flat_map(|v| v.split(','))
                    .filter(|v| !v.is_empty())
                {
                    if !all.contains(&value) {
                        all.push(value);
                    }
                }
                let joined = all.join(",");
                self.set(name, joined);
            } else {
                self.0.insert(name.clone(), values.clone());
            }
        }
        Ok(())
    }

    /// `--name=value`, by name; a flag with several values stands there several times.
    pub fn render(&self) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| format!("--{name}={value}")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        field: "cluster.apiServer.extraArgs",
        additive: &["enable-admission-plugins"],
        denied: &[("etcd-cafile", "the node's own etcd is used")],
    };

    fn extra(pairs: &[(&str, &[&str])]) -> ExtraArgs {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.iter().map(|v| (*v).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn an_argument_replaces_and_a_list_grows_without_repeating() {
        let mut flags = Flags::new();
        flags
            .set("profiling", "false")
            .set("enable-admission-plugins", "NodeRestriction");
        let extra = extra(&[
            ("profiling", &["true"]),
            (
                "enable-admission-plugins",
                &["PodNodeSelector,NodeRestriction", "EventRateLimit"],
            ),
            ("runtime-config", &["a=true", "b=true"]),
        ]);
        flags.merge(&extra, &RULES).unwrap();
        assert_eq!(
            flags.render(),
            [
                "--enable-admission-plugins=NodeRestriction,PodNodeSelector,EventRateLimit",
                "--profiling=true",
                "--runtime-config=a=true",
                "--runtime-config=b=true",
            ]
        );
    }

    #[test]
    fn a_managed_flag_is_refused_with_what_to_do_and_nothing_is_changed() {
        let mut flags = Flags::new();
        let error = flags
            .merge(&extra(&[("a", &["1"]), ("etcd-cafile", &["x"])]), &RULES)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cluster.apiServer.extraArgs: \"etcd-cafile\" is set by the system and cannot be changed: the node's own etcd is used"
        );
        assert_eq!(flags, Flags::new());
    }

    #[test]
    fn a_name_with_dashes_or_a_value_is_not_a_name() {
        for name in ["--v", "v=4", "", "a b"] {
            let error = Flags::new().merge(&extra(&[(name, &["1"])]), &RULES).unwrap_err();
            assert!(matches!(error, FlagError::Name { .. }), "{name}");
        }
    }
}
