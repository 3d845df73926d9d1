//! What a process writes, as a body.
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::unfold;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use kernel::Body;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// What streams fail with.
pub type StdError = Box<dyn std::error::Error + Send + Sync>;
/// A piece of a stream.
pub type Piece = Result<Bytes, StdError>;

/// Pieces on their way at most.
pub const PIECES: usize = 8;
/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// What comes over a channel, as a body.
pub fn body(pieces: mpsc::Receiver<Piece>) -> Body {
    let pieces = unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

/// The next bytes; none at the end.
pub async fn next(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Bytes>> {
    let mut bytes = BytesMut::with_capacity(PIECE);
    let read = from.read_buf(&mut bytes).await?;
    Ok((read > 0).then(|| bytes.freeze()))
}
