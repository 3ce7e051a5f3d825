//! gRPC messages in HTTP bodies, and the little that is written into them without decoding them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};
use tonic::Status;

use crate::MAX_MESSAGE_SIZE;
use crate::proto::common::Metadata;

/// Both `messages` in a reply and `metadata` in an entry have this number, in every message that fans out
/// (a test in `method` holds the contract to it).
const FIELD: u32 = 1;
/// A flag for compression and the length of the message.
const PREFIX: usize = 5;

/// Reads gRPC messages off a body.
pub(super) struct Frames<B> {
    body: B,
    buffer: BytesMut,
    /// Trailers, once they came.
    pub(super) trailers: Option<HeaderMap>,
}

impl<B> Frames<B>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            trailers: None,
        }
    }

    /// The next message, uncompressed.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Err(Status::unavailable(format!("the response broke off: {error}"))),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Status::internal("the response ended in the middle of a message")),
            }
        }
    }

    fn take(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((prefix, rest)) = self.buffer.split_at_checked(PREFIX) else {
            return Ok(None);
        };
        if prefix[0] != 0 {
            return Err(Status::internal("the response is compressed, which was not asked for"));
        }
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if length > MAX_MESSAGE_SIZE {
            return Err(too_large(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

pub(super) fn too_large(length: usize) -> Status {
    Status::resource_exhausted(format!("a message of {length} bytes is larger than {MAX_MESSAGE_SIZE}"))
}

/// A message with its prefix, ready for a body.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    out.freeze()
}

/// What an entry carries about its node: the field `metadata`. Appended to an entry it is merged with what the entry
/// has there already, by the rules of protobuf: the last value of a field wins.
pub(super) fn node_metadata(hostname: &str, failure: Option<&Status>) -> Vec<u8> {
    let metadata = Metadata {
        hostname: hostname.to_owned(),
        error: failure.map(error_text).unwrap_or_default(),
        status: failure.map(|status| crate::proto::google::rpc::Status {
            code: status.code() as i32,
            message: status.message().to_owned(),
            details: Vec::new(),
        }),
    };
    let mut out = Vec::new();
    prost::encoding::message::encode(FIELD, &metadata, &mut out);
    out
}

/// The words of gRPC libraries, which clients show as they are.
fn error_text(status: &Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

/// One entry of a reply.
pub(super) fn put_entry(out: &mut Vec<u8>, entry: &[u8], metadata: &[u8]) {
    encode_key(FIELD, WireType::LengthDelimited, out);
    encode_varint((entry.len() + metadata.len()) as u64, out);
    out.extend_from_slice(entry);
    out.extend_from_slice(metadata);
}

/// Copies the entries of a reply, each with the metadata of its node. A reply without entries (a node has nothing
/// to say but "done") counts as one empty entry, so that the caller sees every node.
pub(super) fn put_reply(out: &mut Vec<u8>, reply: &[u8], metadata: &[u8]) -> Result<(), Status> {
    let broken = |e| Status::internal(format!("the response is not a protobuf message: {e}"));
    let mut rest = reply;
    let mut entries = 0;
    while rest.has_remaining() {
        let start = rest;
        let (field, kind) = decode_key(&mut rest).map_err(broken)?;
        if field == FIELD && kind == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut rest).map_err(broken)?).unwrap_or(usize::MAX);
            let Some((entry, after)) = rest.split_at_checked(length) else {
                return Err(Status::internal(
                    "the response is not a protobuf message: an entry is cut off",
                ));
            };
            put_entry(out, entry, metadata);
            entries += 1;
            rest = after;
        } else {
            skip_field(kind, field, &mut rest, prost::encoding::DecodeContext::default()).map_err(broken)?;
            out.extend_from_slice(&start[..start.len() - rest.len()]);
        }
    }
    if entries == 0 {
        put_entry(out, &[], metadata);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::proto::machine::{Version, VersionInfo, VersionResponse};

    fn version(tag: &str, hostname: &str) -> Version {
        let metadata = (!hostname.is_empty()).then(|| Metadata {
            hostname: hostname.into(),
            ..Metadata::default()
        });
        Version {
            metadata,
            version: Some(VersionInfo {
                tag: tag.into(),
                ..VersionInfo::default()
            }),
            ..Version::default()
        }
    }

    #[test]
    fn entries_get_the_name_of_their_node_and_keep_the_rest() {
        let reply = VersionResponse {
            messages: vec![version("v1", ""), version("v2", "called itself so")],
        };
        let mut out = Vec::new();
        put_reply(&mut out, &reply.encode_to_vec(), &node_metadata("a", None)).unwrap();
        put_reply(&mut out, &[], &node_metadata("b", None)).unwrap();
        put_entry(&mut out, &[], &node_metadata("c", Some(&Status::unavailable("gone"))));
        let all = VersionResponse::decode(&out[..]).unwrap().messages;
        assert_eq!(all[..2], [version("v1", "a"), version("v2", "a")]);
        assert_eq!(all[2].metadata.as_ref().unwrap().hostname, "b");
        let failed = all[3].metadata.as_ref().unwrap();
        assert_eq!(failed.error, "rpc error: code = Unavailable desc = gone");
        assert_eq!(failed.status.as_ref().unwrap().code, 14);
    }

    #[test]
    fn what_is_no_message_is_refused_and_unknown_fields_pass() {
        let mut out = Vec::new();
        for garbage in [
            &b"\xff\xff\xff"[..],
            b"\x0a\x20short",
            b"\x0b",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert!(put_reply(&mut out, garbage, &[]).is_err(), "{garbage:?}");
        }
        out.clear();
        put_reply(&mut out, b"\x10\x07\x0a\x00", &[]).unwrap();
        assert_eq!(out, b"\x10\x07\x0a\x00");
    }

    #[tokio::test]
    async fn messages_are_read_across_chunks_and_bounded() {
        let bytes = [frame(b"one"), frame(b""), frame(b"three")].concat();
        let chunks = bytes.chunks(4).map(Bytes::copy_from_slice).collect::<Vec<_>>();
        let stream = futures::stream::iter(
            chunks
                .into_iter()
                .map(|c| Ok::<_, std::io::Error>(hyper::body::Frame::data(c))),
        );
        let mut frames = Frames::new(http_body_util::StreamBody::new(stream));
        let mut read = Vec::new();
        while let Some(message) = frames.next().await.unwrap() {
            read.push(message);
        }
        assert_eq!(read, [&b"one"[..], b"", b"three"]);

        let mut frames = Frames::new(http_body_util::Full::new(Bytes::from_static(b"\0\xff\xff\xff\xff")));
        assert_eq!(frames.next().await.unwrap_err().code(), tonic::Code::ResourceExhausted);
        let mut frames = Frames::new(http_body_util::Full::new(Bytes::from_static(b"\0\0\0\0\x05abc")));
        assert_eq!(frames.next().await.unwrap_err().code(), tonic::Code::Internal);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let mut out = Vec::new();
            if put_reply(&mut out, &bytes, &node_metadata("n", None)).is_ok() {
                // What is accepted stays readable as far as it was.
                let mut again = Vec::new();
                proptest::prop_assert!(put_reply(&mut again, &out, &[]).is_ok());
                proptest::prop_assert_eq!(out, again);
            }
        }
    }
}
