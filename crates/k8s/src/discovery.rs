//! From kind to path: what the server says it serves, remembered.

use std::borrow::Cow;

use http::Method;
use serde_json::Value;

use crate::client::Call;
use crate::{ApiResource, Client, Error};

impl Client {
    /// How objects of a kind are addressed, from `/api` and `/apis`. What was found is remembered; what was not is
    /// asked again, because custom resource definitions come later than the first question.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::UnknownKind`] if the server does not serve it.
    pub async fn discover(&self, api_version: &str, kind: &str) -> Result<ApiResource, Error> {
        let remembered = |found: &Vec<ApiResource>| found.iter().find(|r| r.kind == kind).cloned();
        if let Some(resource) = self.kinds().get(api_version).and_then(remembered) {
            return Ok(resource);
        }
        let unknown = || Error::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let path = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        let answer = match self
            .value(Call::new(format!("discover {api_version}"), Method::GET, path))
            .await
        {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => return Err(unknown()),
            Err(error) => return Err(error),
        };
        let served = parse(api_version, &answer);
        let found = remembered(&served);
        self.kinds().insert(api_version.to_owned(), served);
        found.ok_or_else(unknown)
    }
}

/// The resources of an `APIResourceList`, without subresources.
fn parse(api_version: &str, list: &Value) -> Vec<ApiResource> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let own = |text: &str| Cow::<'static, str>::Owned(text.to_owned());
    list["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|resource| {
            let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            Some(ApiResource {
                group: own(group),
                version: own(version),
                kind: own(resource["kind"].as_str()?),
                plural: own(plural),
                namespaced: resource["namespaced"].as_bool()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subresources_are_not_kinds_of_their_own() {
        let list = json!({"resources": [
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
        ]});
        let found = parse("apps/v1", &list);
        assert_eq!(found, std::slice::from_ref(&crate::resources::DEPLOYMENTS));
    }
}
