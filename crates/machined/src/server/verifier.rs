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
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::node::Node;
use crate::verifier::{Answer, MAX, Question, SOCKET};

/// How long a judgement may take, with all that is asked of registries for it. containerd waits a little longer.
const WITHIN: Duration = Duration::from_secs(50);
/// How long who connects may take to ask.
const QUESTION: Duration = Duration::from_secs(5);
/// Images judged at once; who asks for more waits to be heard, and does not pull if that takes too long. containerd asks
/// once for each pull, and a node has a few at a time.
const AT_ONCE: usize = 32;

/// Answers until the node ends.
///
/// # Errors
/// The socket cannot be made.
pub async fn serve(node: Node) -> anyhow::Result<()> {
    let listener = super::listen(Path::new(SOCKET), 0o600)?;
    let cancel = node.cancel.clone();
    let answering = each(&listener, AT_ONCE, move |stream| {
        let node = node.clone();
        async move { answer(&node, stream).await }
    });
    tokio::select! {
        () = answering => {}
        () = cancel.cancelled() => {}
    }
    Ok(())
}

/// Answers everybody who connects, so many at once, until dropped.
async fn each<A>(listener: &UnixListener, at_once: usize, answer: impl Fn(UnixStream) -> A)
where
    A: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(at_once));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "judging images for containerd: a connection was lost");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let answering = answer(stream);
        tokio::spawn(async move {
            let _slot = slot;
            // Who hears no answer does not pull.
            if let Err(error) = answering.await {
                tracing::info!("judging an image for containerd: {error:#}");
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn no_more_are_answered_at_once_than_there_are_slots_and_all_are_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (began, mut beginnings) = mpsc::unbounded_channel();
        let (gate, running) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held, counted) = (gate.clone(), running.clone());
        let server = tokio::spawn(async move {
            let answer = |mut stream: UnixStream| {
                let (began, held, counted) = (began.clone(), held.clone(), counted.clone());
                async move {
                    began.send(counted.fetch_add(1, Ordering::SeqCst) + 1)?;
                    held.acquire().await?.forget();
                    counted.fetch_sub(1, Ordering::SeqCst);
                    Ok(stream.write_all(b"yes").await?)
                }
            };
            each(&listener, 2, answer).await;
        });
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(UnixStream::connect(&socket).await.unwrap());
        }
        for _ in 0..2 {
            beginnings.recv().await.unwrap();
        }
        // A third would have begun by now.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.load(Ordering::SeqCst), 2);
        gate.add_permits(5);
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "yes");
        }
        server.abort();
        while let Ok(at_once) = beginnings.try_recv() {
            assert!(at_once <= 2, "{at_once}");
        }
    }
}
