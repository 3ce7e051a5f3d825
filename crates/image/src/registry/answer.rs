//! Responses: documents, files and errors.

use std::io::SeekFrom;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;
pub(crate) type Answer = Response<Body>;

/// A file goes out in pieces of this size.
const PIECE: usize = 256 << 10;

pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A response with headers; a value that is no header is left out.
pub(crate) fn response(status: StatusCode, headers: &[(&str, String)], body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(*name), http::HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// An error as the distribution specification wants it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn internal(error: impl std::fmt::Display) -> Failure {
        tracing::warn!(%error, "registry: request failed");
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", error.to_string())
    }

    pub(crate) fn into_answer(self) -> Answer {
        let text = serde_json::json!({ "errors": [{ "code": self.code, "message": self.message }] }).to_string();
        response(
            self.status,
            &[(CONTENT_TYPE.as_str(), "application/json".into())],
            full(text),
        )
    }
}

/// A JSON document.
pub(crate) fn json(value: &serde_json::Value) -> Answer {
    let text = value.to_string();
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json".to_owned()),
        (CONTENT_LENGTH.as_str(), text.len().to_string()),
    ];
    response(StatusCode::OK, &headers, full(text))
}

/// A file, or the part of it that the request's `Range` asks for; `head` leaves the body out.
pub(crate) async fn file(
    path: &Path,
    request: &HeaderMap,
    head: bool,
    mut headers: Vec<(&str, String)>,
) -> Result<Answer, Failure> {
    let mut file = tokio::fs::File::open(path).await.map_err(Failure::internal)?;
    let size = file.metadata().await.map_err(Failure::internal)?.len();
    headers.push((ACCEPT_RANGES.as_str(), "bytes".into()));
    let range = request
        .get(RANGE)
        .and_then(|value| value.to_str().ok())
        .map(|value| parse_range(value, size));
    let (status, start, length) = match range {
        None | Some(Range::Ignored) => (StatusCode::OK, 0, size),
        Some(Range::Bytes(start, end)) => {
            headers.push((CONTENT_RANGE.as_str(), format!("bytes {start}-{end}/{size}")));
            (StatusCode::PARTIAL_CONTENT, start, end - start + 1)
        }
        Some(Range::Unsatisfiable) => {
            headers.push((CONTENT_RANGE.as_str(), format!("bytes */{size}")));
            return Ok(response(StatusCode::RANGE_NOT_SATISFIABLE, &headers, empty()));
        }
    };
    headers.push((CONTENT_LENGTH.as_str(), length.to_string()));
    if head {
        return Ok(response(status, &headers, empty()));
    }
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await.map_err(Failure::internal)?;
    }
    let stream = ReaderStream::with_capacity(file.take(length), PIECE).map_ok(Frame::data);
    Ok(response(status, &headers, BodyExt::boxed(StreamBody::new(stream))))
}

#[derive(Debug, PartialEq)]
enum Range {
    /// First and last byte.
    Bytes(u64, u64),
    Unsatisfiable,
    /// Several ranges or another unit: RFC 9110 lets a server answer with everything.
    Ignored,
}

fn parse_range(value: &str, size: u64) -> Range {
    let Some(spec) = value.strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Range::Ignored;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Range::Ignored;
    };
    let (start, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(start), Ok(end)) if start <= end => (start, end.min(size.saturating_sub(1))),
        (Ok(start), Err(_)) if last.is_empty() => (start, size.saturating_sub(1)),
        (Err(_), Ok(suffix)) if first.is_empty() && suffix > 0 => (size.saturating_sub(suffix), size.saturating_sub(1)),
        (Err(_), Ok(0)) if first.is_empty() => return Range::Unsatisfiable,
        _ => return Range::Ignored,
    };
    if start >= size {
        Range::Unsatisfiable
    } else {
        Range::Bytes(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        assert_eq!(parse_range("bytes=0-", 10), Range::Bytes(0, 9));
        assert_eq!(parse_range("bytes=3-5", 10), Range::Bytes(3, 5));
        assert_eq!(parse_range("bytes=-4", 10), Range::Bytes(6, 9));
        assert_eq!(parse_range("bytes=5-900", 10), Range::Bytes(5, 9));
        assert_eq!(parse_range("bytes=10-", 10), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(parse_range("bytes=1-2,4-5", 10), Range::Ignored);
        assert_eq!(parse_range("bytes=9-1", 10), Range::Ignored);
    }
}
