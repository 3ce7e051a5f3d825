//! `get`: resources of nodes.

mod history;
mod known;
mod print;
mod types;
mod watch;

use anyhow::Result;
use api::client::Client;
use api::proto::cosi::resource::Resource;
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Get;
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
        let all = client.resources(namespace, &definition.resource_type).await?;
        found.extend(all.into_iter().map(Ok));
    }
    for id in ids {
        found.push(client.resource(namespace, &definition.resource_type, id).await);
    }
    Ok((definition, found))
}
