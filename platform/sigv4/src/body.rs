//! Streamed bodies, held to what the signature says of them.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt;
use kernel::Body;

use crate::chunked::Decoder;
use crate::{Payload, Refusal};

/// The decoded body. It fails at its end with a [`Refusal`] (boxed; downcast to word it) if it is not the body that
/// was signed; trailers of `aws-chunked` become HTTP trailers. `headers` are the request's.
pub fn guard(payload: Payload, headers: &HeaderMap, body: Body) -> Body {
    let length = headers.get("x-amz-decoded-content-length").and_then(|v| v.to_str().ok()?.parse().ok());
    let check = match payload {
        Payload::Unsigned => return body,
        Payload::Hash(signed) => Check::Hash(Box::new(Digest::new(&SHA256)), signed),
        Payload::Chunked(chain) => Check::Chunks(Box::new(Decoder::new(Some(chain), length))),
        Payload::UnsignedChunks => Check::Chunks(Box::new(Decoder::new(None, length))),
    };
    Guarded { body, check, ended: false }.boxed_unsync()
}

enum Check {
    Hash(Box<Digest>, [u8; 32]),
    Chunks(Box<Decoder>),
}

struct Guarded {
    body: Body,
    check: Check,
    ended: bool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Guarded {
    fn data(&mut self, data: Bytes) -> Result<Bytes, Refusal> {
        match &mut self.check {
            Check::Hash(digest, _) => {
                digest.update(&data);
                Ok(data)
            }
            Check::Chunks(decoder) => decoder.push(&data),
        }
    }

    fn end(&mut self) -> Result<HeaderMap, Refusal> {
        let mut trailers = HeaderMap::new();
        match &mut self.check {
            Check::Hash(digest, signed) if (**digest).clone().finish().as_ref() != signed.as_slice() => {
                return Err(Refusal::Content);
            }
            Check::Hash(..) => {}
            Check::Chunks(decoder) => {
                for (name, value) in decoder.finish()? {
                    let pair = (HeaderName::try_from(name), HeaderValue::try_from(value));
                    let (Ok(name), Ok(value)) = pair else {
                        return Err(Refusal::Body("A trailer is not a valid header.".into()));
                    };
                    trailers.append(name, value);
                }
            }
        }
        Ok(trailers)
    }
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().ok(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    return match self.end() {
                        Ok(trailers) if trailers.is_empty() => Poll::Ready(None),
                        Ok(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                        Err(refusal) => Poll::Ready(Some(Err(refusal.into()))),
                    };
                }
            };
            // HTTP's own trailers say nothing of the body, and one piece of chunk header decodes to no data.
            match frame.map(|data| self.data(data)).transpose() {
                Ok(Some(data)) if !data.is_empty() => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(_) => {}
                Err(refusal) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(refusal.into())));
                }
            }
        }
    }
}
