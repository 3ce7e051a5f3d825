//! Resource types and their many names.

use api::client::Client;
use serde::Deserialize;
use tonic::Status;

/// Namespace and type of the definitions themselves.
const META: (&str, &str) = ("meta", "ResourceDefinitions.meta.cosi.dev");

/// What a node says about one of its resource types.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Definition {
    /// Full name.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Short name in the singular.
    pub display_type: String,
    /// Namespace when none is named.
    pub default_namespace: String,
    /// Short names.
    pub aliases: Vec<String>,
    /// Every name.
    pub all_aliases: Vec<String>,
    /// Columns after VERSION.
    pub print_columns: Vec<Column>,
    /// `sensitive` for a type that only administrators may read, else empty.
    pub sensitivity: String,
}

/// A column of the table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Column {
    /// Heading; printed in capitals.
    pub name: String,
    /// JSON path on the spec.
    pub json_path: String,
}

impl Definition {
    /// Whether its resources hold secrets.
    pub fn is_sensitive(&self) -> bool {
        !self.sensitivity.is_empty()
    }

    fn answers_to(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.resource_type.eq_ignore_ascii_case(&name)
            || self.display_type.eq_ignore_ascii_case(&name)
            || self
                .aliases
                .iter()
                .chain(&self.all_aliases)
                .any(|alias| alias.eq_ignore_ascii_case(&name))
    }
}

/// The definition that a name means on a node.
pub async fn resolve(client: &Client, name: &str) -> Result<Definition, Status> {
    choose(definitions(client).await?, name)
}

/// Every definition of a node.
pub async fn definitions(client: &Client) -> Result<Vec<Definition>, Status> {
    let resources = client.resources(META.0, META.1).await?;
    let mut all = Vec::with_capacity(resources.len());
    for resource in resources {
        let yaml = resource.spec.map(|spec| spec.yaml_spec).unwrap_or_default();
        let definition = serde_saphyr::from_str(&yaml)
            .map_err(|error| Status::internal(format!("read a resource definition: {error}")))?;
        all.push(definition);
    }
    Ok(all)
}

fn choose(all: Vec<Definition>, name: &str) -> Result<Definition, Status> {
    // The full name and the display name win over aliases that several types share.
    let exact = all
        .iter()
        .position(|d| d.resource_type.eq_ignore_ascii_case(name) || d.display_type.eq_ignore_ascii_case(name));
    let answering: Vec<usize> = all
        .iter()
        .enumerate()
        .filter(|(_, d)| d.answers_to(name))
        .map(|(i, _)| i)
        .collect();
    match (exact, &answering[..]) {
        (Some(index), _) | (None, &[index]) => Ok(all[index].clone()),
        (None, []) => {
            let mut status = Status::not_found(format!("resource \"{name}\" is not registered"));
            if let Some(similar) = suggest(&all, name).and_then(|similar| similar.parse().ok()) {
                status.metadata_mut().insert(SUGGESTION, similar);
            }
            Err(status)
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|i| all[*i].resource_type.as_str()).collect();
            Err(Status::invalid_argument(format!(
                "resource type \"{name}\" is ambiguous: {}",
                names.join(", ")
            )))
        }
    }
}

/// Carries a suggestion from [`choose`] to [`hint`], apart from the message, whose words other clients print too.
const SUGGESTION: &str = "suggestion";

/// What might have been meant by a name that is not known.
pub fn hint(status: &Status) -> Option<String> {
    let similar = status.metadata().get(SUGGESTION)?.to_str().ok()?;
    Some(format!("did you mean \"{similar}\"? `get rd` lists all types"))
}

fn suggest(all: &[Definition], name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let names = all
        .iter()
        .flat_map(|d| d.all_aliases.iter().chain(&d.aliases).chain([&d.display_type]));
    let scored = names
        .map(|n| (distance(&n.to_ascii_lowercase(), &name), n))
        .filter(|(d, n)| *d <= 1 + n.len() / 4);
    scored
        .min_by_key(|(d, n)| (*d, n.len()))
        .map(|(_, n)| n.to_ascii_lowercase())
}

/// Edit distance (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(resource_type: &str, display: &str, aliases: &[&str]) -> Definition {
        Definition {
            resource_type: resource_type.into(),
            display_type: display.into(),
            all_aliases: aliases.iter().map(|a| (*a).to_owned()).collect(),
            ..Definition::default()
        }
    }

    fn all() -> Vec<Definition> {
        vec![
            definition(
                "Members.cluster.talos.dev",
                "Member",
                &["members", "members.cluster", "member"],
            ),
            definition("Services.v1alpha1.talos.dev", "Service", &["services", "svc"]),
            definition("AcquireConfigSpecs.v1alpha1.talos.dev", "AcquireConfigSpec", &["acs"]),
            definition(
                "AcquireConfigStatuses.v1alpha1.talos.dev",
                "AcquireConfigStatus",
                &["acs"],
            ),
        ]
    }

    #[test]
    fn every_name_of_a_type_finds_it() {
        for name in ["members", "Member", "MEMBERS.cluster", "members.cluster.talos.dev"] {
            assert_eq!(choose(all(), name).unwrap().display_type, "Member", "{name}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_with_a_suggestion_apart() {
        let status = choose(all(), "membrs").unwrap_err();
        assert_eq!(status.message(), "resource \"membrs\" is not registered");
        assert_eq!(
            hint(&status).unwrap(),
            "did you mean \"members\"? `get rd` lists all types"
        );
        let status = choose(all(), "nope").unwrap_err();
        assert_eq!(
            (status.message(), hint(&status)),
            ("resource \"nope\" is not registered", None)
        );
    }

    #[test]
    fn an_alias_of_two_types_is_ambiguous() {
        let status = choose(all(), "acs").unwrap_err();
        assert!(status.message().contains("ambiguous: AcquireConfigSpecs"), "{status}");
    }
}
