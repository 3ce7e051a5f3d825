//! HTTP/2 as gRPC needs it: a connection and the calls on it, in one task.
//!
//! A change may be for thousands of connections at once. If calls had tasks of their own, all would hand what they have
//! to their connections before the first connection writes; here each writes in the turn in which it is told. What a
//! connection waits for beside its calls and the network is polled when it happens, not in each turn.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::Bytes;
use futures::future::Either;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use futures::{FutureExt, StreamExt};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{Request, Response};
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use crate::limits;

/// Answers what comes on a connection until the client leaves or does not answer any more; after `end`, until the calls
/// in progress are answered or took too long.
pub async fn serve<F, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut answer: impl FnMut(Request<RequestBody>) -> F,
    end: impl Future<Output = ()> + Send,
) -> Result<(), h2::Error>
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let Ok(connection) = timeout(limits::HANDSHAKE, settings().handshake(stream)).await else {
        return Ok(());
    };
    let mut connection: Connection<_, Bytes> = connection?;
    let mut running = FuturesUnordered::new();
    running.push(Either::Left(end.map(|()| Event::End).boxed()));
    if let Some(pings) = connection.ping_pong() {
        running.push(Either::Left(keep_alive(pings).map(|()| Event::Gone).boxed()));
    }
    let held = Arc::new(Held::default());
    let waker = Waker::from(held.clone());
    poll_fn(|cx| {
        loop {
            held.hold(cx.waker());
            while let Poll::Ready(Some(event)) = running.poll_next_unpin(cx) {
                match event {
                    Event::Answered => {}
                    Event::End => {
                        connection.graceful_shutdown();
                        let late = sleep(limits::SHUTDOWN_GRACE).map(|()| Event::Gone);
                        running.push(Either::Left(late.boxed()));
                    }
                    Event::Gone => return Poll::Ready(Ok(())),
                }
            }
            held.release();
            let mut cx = Context::from_waker(&waker);
            let before = running.len();
            // All that has come, so that their answers leave together.
            while let Poll::Ready(accepted) = pin!(connection.accept()).poll(&mut cx) {
                let Some((request, respond)) = accepted.transpose()? else {
                    return Poll::Ready(Ok(()));
                };
                let response = answer(request.map(RequestBody));
                running.push(Either::Right(respond_with(response, respond)));
            }
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await
}

enum Event {
    Answered,
    /// The connection is to end.
    End,
    /// The client has left, or is to be left.
    Gone,
}

fn settings() -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits::CALLS_PER_CONNECTION)
        .max_header_list_size(limits::HEADERS)
        .initial_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW);
    builder
}

/// Ends when the client does not answer a ping in time.
async fn keep_alive(mut pings: PingPong) {
    loop {
        sleep(limits::KEEP_ALIVE_INTERVAL).await;
        let answered = timeout(limits::KEEP_ALIVE_TIMEOUT, pings.ping(Ping::opaque())).await;
        if !matches!(answered, Ok(Ok(_))) {
            return;
        }
    }
}

/// Sends a response. Whatever goes wrong is the client's doing, who will not read what it was.
async fn respond_with<B>(response: impl Future<Output = Response<B>>, mut respond: SendResponse<Bytes>) -> Event
where
    B: Body<Data = Bytes> + Unpin,
{
    let response = tokio::select! {
        biased;
        response = response => response,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Event::Answered,
    };
    let (head, body) = response.into_parts();
    let ends = body.is_end_stream();
    if let Ok(stream) = respond.send_response(Response::from_parts(head, ()), ends)
        && !ends
    {
        let _ = send(body, stream).await;
    }
    Event::Answered
}

/// Sends a body for as long as the client takes it. None if it does not, or if the body failed.
async fn send<B>(mut body: B, mut stream: SendStream<Bytes>) -> Option<()>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => stream.poll_reset(cx).map(|_| None),
        });
        match next.await?.transpose().ok()?.map(Frame::into_data) {
            Some(Ok(data)) => send_data(data, &mut stream).await?,
            Some(Err(other)) => return stream.send_trailers(other.into_trailers().ok()?).ok(),
            None => return stream.send_data(Bytes::new(), true).ok(),
        }
    }
}

/// Sends as much at a time as the client has room for.
async fn send_data(mut data: Bytes, stream: &mut SendStream<Bytes>) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        // Room that another call took meanwhile is none: a frame without data would count against us.
        while stream.capacity() == 0 {
            poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        }
        let part = data.split_to(stream.capacity().min(data.len()));
        stream.send_data(part, false).ok()?;
    }
    Some(())
}

/// What a client sends in a call.
#[derive(Debug)]
pub struct RequestBody(RecvStream);

impl Body for RequestBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if let Some(data) = ready!(self.0.poll_data(cx)) {
            return Poll::Ready(Some(data.and_then(|data| {
                self.0.flow_control().release_capacity(data.len())?;
                Ok(Frame::data(data))
            })));
        }
        let trailers = ready!(self.0.poll_trailers(cx));
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}

/// Wakes the task of a connection when the connection is to be polled, except while that is about to happen anyway: its
/// calls wake it each time they send something.
#[derive(Default)]
struct Held {
    task: AtomicWaker,
    held: AtomicBool,
}

impl Held {
    fn hold(&self, task: &Waker) {
        self.task.register(task);
        self.held.store(true, Ordering::Release);
    }

    /// What wakes from here on is not missed, and neither is what was held back, if one polls afterwards.
    fn release(&self) {
        self.held.swap(false, Ordering::AcqRel);
    }
}

impl Wake for Held {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Not a mere load: one that sees it held has done before `release` what it wakes for.
        if !self.held.fetch_or(false, Ordering::AcqRel) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h2::client::{self, SendRequest};
    use http_body_util::Full;
    use tokio::sync::oneshot;

    /// A client of a connection on which everything is answered so, until `end`.
    async fn connect<F, B>(
        client: &client::Builder,
        answer: impl FnMut(Request<RequestBody>) -> F + Send + 'static,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> (SendRequest<Bytes>, tokio::task::JoinHandle<()>)
    where
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let serving = tokio::spawn(async move {
            let _ = serve(ours, answer, end).await;
        });
        let (send, connection) = client.handshake(theirs).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        (send, serving)
    }

    async fn call(send: &SendRequest<Bytes>) -> (client::ResponseFuture, SendStream<Bytes>) {
        let request = Request::get("http://service/").body(()).unwrap();
        send.clone().ready().await.unwrap().send_request(request, true).unwrap()
    }

    #[tokio::test]
    async fn a_client_with_little_room_gets_everything_and_no_empty_frames() {
        let long = Bytes::from((0..100_000u32).map(|i| i as u8).collect::<Vec<u8>>());
        let (answer, mut builder) = (long.clone(), client::Builder::new());
        builder.initial_window_size(64);
        let answer = move |_| std::future::ready(Response::new(Full::new(answer.clone())));
        let (send, _serving) = connect(&builder, answer, std::future::pending()).await;
        let mut calls = Vec::new();
        for _ in 0..3 {
            let (response, _) = call(&send).await;
            calls.push(async {
                let (mut body, mut got) = (response.await.unwrap().into_body(), Vec::new());
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    assert!(!data.is_empty() || body.is_end_stream());
                    body.flow_control().release_capacity(data.len()).unwrap();
                    got.extend_from_slice(&data);
                }
                got
            });
        }
        for got in futures::future::join_all(calls).await {
            assert!(got == long);
        }
    }

    /// A body that never has anything, and tells when it is gone.
    struct Endless(Option<oneshot::Sender<()>>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
            Poll::Pending
        }
    }

    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.take().map(|gone| gone.send(()));
        }
    }

    #[tokio::test]
    async fn a_call_ends_when_the_client_does_not_want_it_any_more() {
        let (tell, gone) = oneshot::channel();
        let mut tell = Some(tell);
        let answer = move |_| std::future::ready(Response::new(Endless(tell.take())));
        let (send, _serving) = connect(&client::Builder::new(), answer, std::future::pending()).await;
        let (response, mut stream) = call(&send).await;
        let _body = response.await.unwrap().into_body();
        stream.send_reset(h2::Reason::CANCEL);
        gone.await.unwrap();
    }

    #[tokio::test]
    async fn at_the_end_calls_are_finished_and_the_connection_ends_with_them() {
        let (tell_end, ended) = oneshot::channel::<()>();
        let (begin, begun) = oneshot::channel::<()>();
        let (go, gone) = oneshot::channel::<()>();
        let mut once = Some((begin, gone));
        let answer = move |_| {
            let (begin, gone) = once.take().unwrap();
            begin.send(()).unwrap();
            gone.map(|_| Response::new(Full::new(Bytes::from_static(b"late"))))
        };
        let (send, serving) = connect(&client::Builder::new(), answer, ended.map(|_| ())).await;
        let (response, _) = call(&send).await;
        begun.await.unwrap();
        tell_end.send(()).unwrap();
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "late");
        serving.await.unwrap();
    }

    #[derive(Default)]
    struct Wakes(std::sync::atomic::AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[test]
    fn a_connection_that_is_polled_anyway_wakes_nobody() {
        let (held, wakes) = (Arc::new(Held::default()), Arc::new(Wakes::default()));
        let (waker, task) = (Waker::from(held.clone()), Waker::from(wakes.clone()));
        held.hold(&task);
        waker.wake_by_ref();
        assert_eq!(wakes.0.load(Ordering::Acquire), 0);
        held.release();
        waker.wake_by_ref();
        assert_eq!(wakes.0.load(Ordering::Acquire), 1);
    }
}
