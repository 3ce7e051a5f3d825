//! Answers the program that containerd starts before it pulls an image ([`crate::verifier`]), and the call that asks the
//! same of an image that is not pulled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api::proto::machine as proto;
use image::pull::{Auth, Puller};
use image::reference::ImageRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tonic::Status;

use crate::node::Node;
use crate::verifier::{Answer, MAX, Question, SOCKET};

/// How long a judgement may take, with all that is asked of registries for it. containerd waits a little longer.
const WITHIN: Duration = Duration::from_secs(50);
/// How long who connects may take to ask.
const QUESTION: Duration = Duration::from_secs(5);

/// Answers until the node ends.
///
/// # Errors
/// The socket cannot be made.
pub async fn serve(node: Node) -> anyhow::Result<()> {
    let listener = super::listen(Path::new(SOCKET), 0o600)?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = node.cancel.cancelled() => return Ok(()),
        };
        match stream {
            Ok((stream, _)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    // Who hears no answer does not pull.
                    if let Err(error) = answer(&node, stream).await {
                        tracing::info!("judging an image for containerd: {error:#}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "judging images for containerd: a connection was lost");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(node: &Node, stream: UnixStream) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MAX));
    tokio::time::timeout(QUESTION, read.read_line(&mut line))
        .await
        .context("no question came")??;
    let question: Question = serde_json::from_str(&line).context("the question is not readable")?;
    let answer = judged(node, &question).await.unwrap_or_else(|error| Answer {
        admitted: false,
        why: format!("{error:#}"),
    });
    if !answer.admitted {
        tracing::info!(
            image = question.name,
            digest = question.digest,
            "an image is refused: {}",
            answer.why
        );
    }
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await.context("answer")
}

async fn judged(node: &Node, question: &Question) -> anyhow::Result<Answer> {
    let image: ImageRef = question.name.parse()?;
    let digest = question.digest.parse()?;
    let puller = super::images::puller(node)
        .await
        .map_err(|status| anyhow::anyhow!("{}", status.message()))?;
    let judged = tokio::time::timeout(WITHIN, puller.judge(&image, &digest))
        .await
        .with_context(|| format!("no registry answered within {} s", WITHIN.as_secs()))?;
    Ok(match judged {
        Ok(admitted) => Answer {
            admitted: true,
            why: admitted.why,
        },
        Err(refused) => Answer {
            admitted: false,
            why: refused.to_string(),
        },
    })
}

/// `machine.ImageService/Verify`: what would be said if the image was pulled now.
pub async fn verify(
    node: &Node,
    request: &proto::ImageServiceVerifyRequest,
) -> Result<proto::ImageServiceVerifyResponse, Status> {
    let parsed: Result<ImageRef, _> = request.image_ref.parse();
    let mut image = parsed.map_err(|e| Status::invalid_argument(e.to_string()))?;
    let puller = with_credentials(super::images::puller(node).await?, request.credentials.as_ref());
    if let Err(refused) = puller.may_ask_for(&image) {
        // What may not be asked for has no digest.
        return Ok(proto::ImageServiceVerifyResponse {
            message: refused.to_string(),
            ..Default::default()
        });
    }
    let judged = async {
        let digest = puller
            .resolve(&image)
            .await
            .map_err(|e| Status::unavailable(e.to_string()))?;
        Ok::<_, Status>((puller.judge(&image, &digest).await, digest))
    };
    let judged = tokio::time::timeout(WITHIN, judged).await;
    let (judged, digest) = judged
        .map_err(|_| Status::deadline_exceeded(format!("no registry answered within {} s", WITHIN.as_secs())))??;
    image.digest = Some(digest);
    let (verified, message) = match judged {
        Ok(admitted) => (admitted.signed, admitted.why),
        Err(refused) => (false, refused.to_string()),
    };
    Ok(proto::ImageServiceVerifyResponse {
        verified,
        message,
        digested_image_ref: image.to_string(),
    })
}

fn with_credentials(puller: Arc<Puller>, credentials: Option<&proto::ImageServiceCredentials>) -> Arc<Puller> {
    let Some(given) = credentials.filter(|given| !given.username.is_empty()) else {
        return puller;
    };
    let mut puller = Puller::clone(&puller);
    let auth = Auth::Basic {
        username: given.username.clone(),
        password: given.password.clone(),
    };
    puller.authorize(&given.host, &auth);
    Arc::new(puller)
}
