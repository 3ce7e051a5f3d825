//! Reading and writing objects.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::client::Call;
use crate::{ApiResource, Client, Error};

/// Which objects to list or watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// `app=web,tier!=db`
    pub labels: String,
    /// `spec.nodeName=a`
    pub fields: String,
}

impl ListOptions {
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        [("labelSelector", &self.labels), ("fieldSelector", &self.fields)]
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k, v.clone()))
            .collect()
    }
}

/// A whole list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// Where to watch from.
    pub resource_version: String,
    /// The objects; each carries `apiVersion` and `kind`.
    pub items: Vec<Value>,
}

/// A change to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own: lists merge by key.
    Strategic(Value),
    /// RFC 6902.
    Json(Value),
}

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// `Foreground`, `Background` or `Orphan`.
    pub propagation: Option<&'static str>,
    /// How long pods may take, in seconds.
    pub grace_seconds: Option<u32>,
    /// Delete only this very object.
    pub uid: Option<String>,
}

/// How to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Who owns the fields.
    pub manager: String,
    /// Take fields that somebody else owns.
    pub force: bool,
    /// Only say what would come out.
    pub dry_run: bool,
}

impl ApplyOptions {
    /// Applies as `manager`, without force.
    pub fn new(manager: impl Into<String>) -> Self {
        Self {
            manager: manager.into(),
            force: false,
            dry_run: false,
        }
    }

    /// Takes fields that somebody else owns.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Changes nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }
}

/// Objects per page of a list.
const PAGE: &str = "500";

impl Client {
    /// One object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, resource: &ApiResource, namespace: Option<&str>, name: &str) -> Result<Value, Error> {
        self.value(self.one("get", Method::GET, resource, namespace, name))
            .await
    }

    /// All objects of a kind, in one namespace or (`None`) everywhere.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> Result<List, Error> {
        let mut list = List::default();
        let mut next = None::<String>;
        loop {
            let mut call = Call::new(
                format!("list {}", resource.plural),
                Method::GET,
                resource.path(namespace, None),
            );
            call.query = options.query();
            call.query.push(("limit", PAGE.to_owned()));
            call.query.extend(next.take().map(|token| ("continue", token)));
            let mut page = self.value(call).await?;
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            list.resource_version = text(&page["metadata"]["resourceVersion"]);
            if let Value::Array(items) = page["items"].take() {
                list.items.extend(items.into_iter().map(|item| typed(item, resource)));
            }
            let token = text(&page["metadata"]["continue"]);
            if token.is_empty() {
                return Ok(list);
            }
            next = Some(token);
        }
    }

    /// Makes an object.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::AlreadyExists`] if it is there.
    pub async fn create(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, Error> {
        let name = name_of(object).unwrap_or_default();
        let what = format!("create {} {name}", resource.plural);
        let path = resource.path(Some(namespace.unwrap_or(&self.inner.namespace)), None);
        self.value(Call::new(what, Method::POST, path).json(object)).await
    }

    /// Replaces an object; with `metadata.resourceVersion` only if nobody changed it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, Error> {
        let name = name_of(object).ok_or_else(|| Error::Object("it has no metadata.name".into()))?;
        self.value(self.one("update", Method::PUT, resource, namespace, name).json(object))
            .await
    }

    /// Deletes an object. Deletion goes on in the background if it has finalizers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<(), Error> {
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(propagation) = options.propagation {
            body["propagationPolicy"] = propagation.into();
        }
        if let Some(seconds) = options.grace_seconds {
            body["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &options.uid {
            body["preconditions"] = json!({"uid": uid});
        }
        self.value(
            self.one("delete", Method::DELETE, resource, namespace, name)
                .json(&body),
        )
        .await?;
        Ok(())
    }

    /// Changes an object, or with `subresource` (`status`, `scale`) that part of it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn patch(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
        subresource: Option<&str>,
        patch: &Patch,
    ) -> Result<Value, Error> {
        let (content_type, body) = match patch {
            Patch::Merge(v) => ("application/merge-patch+json", v),
            Patch::Strategic(v) => ("application/strategic-merge-patch+json", v),
            Patch::Json(v) => ("application/json-patch+json", v),
        };
        let mut call = self.one("patch", Method::PATCH, resource, namespace, name);
        if let Some(subresource) = subresource {
            call.path = format!("{}/{subresource}", call.path);
        }
        call.body = Some((content_type, Bytes::from(body.to_string())));
        self.value(call).await
    }

    /// Server-side apply of any object that has `apiVersion`, `kind` and a name; its kind is looked up at the server.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Conflict`] if somebody else owns a field and `force` is not set.
    pub async fn apply(&self, object: &Value, options: &ApplyOptions) -> Result<Value, Error> {
        let (resource, name) = self.address(object).await?;
        let mut call = self.one("apply", Method::PATCH, &resource, namespace_of(object), &name);
        call.query.push(("fieldManager", options.manager.clone()));
        call.query.push(("force", options.force.to_string()));
        if options.dry_run {
            call.query.push(("dryRun", "All".to_owned()));
        }
        call.body = Some(("application/apply-patch+yaml", Bytes::from(object.to_string())));
        self.value(call).await
    }

    /// Makes the object unless there is one of its name, whatever that holds. True if it was made.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_if_absent(&self, object: &Value, manager: &str) -> Result<bool, Error> {
        let (resource, name) = self.address(object).await?;
        let namespace = namespace_of(object).unwrap_or(&self.inner.namespace);
        match self.get(&resource, Some(namespace), &name).await {
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let what = format!("create {} {name}", resource.plural);
        let mut call = Call::new(what, Method::POST, resource.path(Some(namespace), None)).json(object);
        call.query.push(("fieldManager", manager.to_owned()));
        match self.value(call).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The resource and name of an object.
    ///
    /// # Errors
    /// It has none, or the server does not know its kind.
    pub async fn address(&self, object: &Value) -> Result<(ApiResource, String), Error> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let missing = |key: &str| Error::Object(format!("it has no {key}"));
        let api_version = text("apiVersion").ok_or_else(|| missing("apiVersion"))?;
        let kind = text("kind").ok_or_else(|| missing("kind"))?;
        let name = name_of(object).ok_or_else(|| Error::Object(format!("{kind} has no metadata.name")))?;
        Ok((self.discover(api_version, kind).await?, name.to_owned()))
    }

    fn one(&self, verb: &str, method: Method, resource: &ApiResource, namespace: Option<&str>, name: &str) -> Call {
        let namespace = namespace.unwrap_or(&self.inner.namespace);
        Call::new(
            format!("{verb} {} {name}", resource.plural),
            method,
            resource.path(Some(namespace), Some(name)),
        )
    }
}

/// Items of a list do not say what they are; the list does.
fn typed(item: Value, resource: &ApiResource) -> Value {
    let Value::Object(fields) = item else { return item };
    let mut whole = serde_json::Map::new();
    whole.insert("apiVersion".into(), resource.api_version().into());
    whole.insert("kind".into(), resource.kind.as_ref().into());
    whole.extend(fields);
    Value::Object(whole)
}

fn name_of(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str().filter(|n| !n.is_empty())
}

fn namespace_of(object: &Value) -> Option<&str> {
    object["metadata"]["namespace"].as_str().filter(|n| !n.is_empty())
}
