//! Logs of containers.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::Method;
use http_body_util::BodyExt;

use crate::client::Call;
use crate::{Client, Error, resources};

/// Which part of which container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Needed if the pod has several.
    pub container: Option<String>,
    /// Only the newest lines.
    pub tail_lines: Option<u32>,
    /// Go on with new lines as they come.
    pub follow: bool,
    /// Of the container that ran before the present one.
    pub previous: bool,
}

impl Client {
    /// The log of a pod, in pieces as they arrive.
    ///
    /// # Errors
    /// See [`Error`]; a break later is an item of the stream.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        options: &LogOptions,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let path = format!("{}/log", resources::PODS.path(Some(namespace), Some(pod)));
        let what = format!("logs of {namespace}/{pod}");
        let mut call = Call::new(what.clone(), Method::GET, path);
        call.query.extend(options.container.clone().map(|c| ("container", c)));
        call.query
            .extend(options.tail_lines.map(|n| ("tailLines", n.to_string())));
        call.query.extend(options.follow.then(|| ("follow", "true".to_owned())));
        call.query
            .extend(options.previous.then(|| ("previous", "true".to_owned())));
        let response = self.stream(call).await?;
        let client = self.clone();
        Ok(response
            .into_body()
            .into_data_stream()
            .map_err(move |e| client.unreachable(&what, &e))
            .boxed())
    }
}
