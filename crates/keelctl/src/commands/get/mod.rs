//! `get`: resources of nodes.

mod history;
mod known;
mod print;
mod types;
mod watch;

use anyhow::Result;
use api::client::Client;
use api::proto::cosi::resource::{GetRequest, ListRequest, Resource};
use futures::StreamExt as _;
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::node::Get;
use crate::output::{complain, note};
use crate::session::{Session, Silent, block, failed};

pub use print::{Format, document};
pub use types::{Definition, definitions};

/// Runs `get`.
pub fn run(command: &Node<Get>, program: Program) -> Result<()> {
    let args = &command.args;
    let format = Format::parse(&args.output)?;
    let Some(name) = args.resource_type.as_deref() else {
        anyhow::bail!("name a resource type: `get rd` lists all of them");
    };
    block(async {
        let session = Session::open_either(&command.client, program, args.insecure)?;
        if args.history {
            return history::run(&session, name, args, &format).await;
        }
        if args.watch {
            return watch::run(&session, name, args, &format).await;
        }
        let namespace = args.namespace.as_deref();
        let (answers, failures) = session.each(|client| fetch(client, name, namespace, &args.ids)).await;
        let mut printer = print::Printer::new(format, false);
        let mut missing = Vec::new();
        for (node, (definition, found)) in answers {
            printer.header(&definition);
            for item in found {
                match item {
                    Ok(resource) => printer.resource(&node, &definition, resource, None)?,
                    Err(status) => missing.push(status),
                }
            }
        }
        printer.finish()?;
        let single = session.targets().len() == 1;
        for status in &missing {
            complain(&failed(status).to_string());
        }
        match &failures.0[..] {
            [(_, status)] if single => {
                complain(&failed(status).to_string());
                if let Some(hint) = types::hint(status) {
                    note(&hint);
                }
                Err(Silent.into())
            }
            [] if !missing.is_empty() => Err(Silent.into()),
            _ => failures.into_result(),
        }
    })
}

type Found = (Definition, Vec<Result<Resource, Status>>);

/// Resources of one node: all, or those with the given identifiers.
async fn fetch(client: Client, name: &str, namespace: Option<&str>, ids: &[String]) -> Result<Found, Status> {
    let definition = types::resolve(&client, name).await?;
    let namespace = namespace.unwrap_or(&definition.default_namespace);
    let mut found = Vec::new();
    if ids.is_empty() {
        let all = list(&client, namespace, &definition.resource_type).await?;
        found.extend(all.into_iter().map(Ok));
    }
    for id in ids {
        found.push(one(&client, namespace, &definition.resource_type, id).await);
    }
    Ok((definition, found))
}

/// One resource.
pub async fn one(client: &Client, namespace: &str, resource_type: &str, id: &str) -> Result<Resource, Status> {
    let request = GetRequest {
        namespace: namespace.to_owned(),
        r#type: resource_type.to_owned(),
        id: id.to_owned(),
        options: None,
    };
    let answer = client.state().get(request).await?.into_inner();
    answer
        .resource
        .ok_or_else(|| Status::internal("the node answered without a resource"))
}

/// All resources of a type, by namespace and identifier.
pub async fn list(client: &Client, namespace: &str, resource_type: &str) -> Result<Vec<Resource>, Status> {
    let request = ListRequest {
        namespace: namespace.to_owned(),
        r#type: resource_type.to_owned(),
        options: None,
    };
    let mut stream = client.state().list(request).await?.into_inner();
    let mut all = Vec::new();
    while let Some(item) = stream.next().await {
        all.extend(item?.resource);
    }
    let key = |resource: &Resource| {
        let metadata = resource.metadata.as_ref();
        metadata
            .map(|m| (m.namespace.clone(), m.id.clone()))
            .unwrap_or_default()
    };
    all.sort_by_cached_key(key);
    Ok(all)
}
