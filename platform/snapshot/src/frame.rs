//! Messages on the Unix socket between control plane and edge: a length, then JSON that says its protocol's version.
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Report, Snapshot};

/// The protocol's version; raise it when a message changes so that the version before cannot read it.
pub const VERSION: u16 = 1;
/// The oldest version that is read: the one before, so that either process may be upgraded first.
pub const OLDEST: u16 = if VERSION > 1 { VERSION - 1 } else { 1 };
/// A frame at most, in bytes.
pub const MAX_FRAME: u32 = 64 << 20;

/// From the control plane.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// What to serve from now on.
    Snapshot(Box<Snapshot>),
    /// End: `longshore down`.
    Shutdown,
}

/// From the edge. The first is sent at once, before anything is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// Its state.
    Report(Report),
}

/// Why a frame was not read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone or the socket broke.
    #[error("the socket: {0}")]
    Io(#[from] std::io::Error),
    /// Over [`MAX_FRAME`].
    #[error("a message of {0} bytes, over the limit of {MAX_FRAME}")]
    TooLarge(u64),
    /// Another protocol.
    #[error("protocol version {0}, this program speaks {OLDEST} to {VERSION}")]
    Version(u16),
    /// Not what this version's messages look like. The stream is still in step: the next frame can be read.
    #[error("the message cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
}

impl FrameError {
    /// Whether the next frame can still be read.
    pub fn in_step(&self) -> bool {
        matches!(self, Self::Version(_) | Self::Shape(_))
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    version: u16,
    message: T,
}

/// Writes one message.
pub async fn write_frame<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), FrameError> {
    let body = serde_json::to_vec(&Envelope { version: VERSION, message })?;
    let length = u32::try_from(body.len()).ok().filter(|n| *n <= MAX_FRAME);
    let length = length.ok_or(FrameError::TooLarge(body.len() as u64))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&body).await?;
    Ok(to.flush().await?)
}

/// Reads one message; not cancel safe.
pub async fn read_frame<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    #[derive(Deserialize)]
    struct Version {
        version: u16,
    }
    let length = from.read_u32().await?;
    if length > MAX_FRAME {
        return Err(FrameError::TooLarge(length.into()));
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body).await?;
    // The version first: another version's message need not have this one's shape.
    let Version { version } = serde_json::from_slice(&body)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(FrameError::Version(version));
    }
    Ok(serde_json::from_slice::<Envelope<T>>(&body)?.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Down, FrameError> {
        let mut framed = (bytes.len() as u32).to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        read_frame(&mut framed.as_slice()).await
    }

    #[tokio::test]
    async fn messages_come_back_and_foreign_ones_are_refused() {
        let mut wire = Vec::new();
        let sent = Snapshot { generation: 7, ..Snapshot::default() };
        write_frame(&mut wire, &Down::Snapshot(Box::new(sent.clone()))).await.unwrap();
        let Down::Snapshot(got) = read_frame(&mut wire.as_slice()).await.unwrap() else {
            panic!("not a snapshot")
        };
        assert_eq!(*got, sent);

        let newer = read(br#"{"version":9,"message":{"teleport":1}}"#).await.unwrap_err();
        assert!(matches!(newer, FrameError::Version(9)) && newer.in_step());
        let odd = read(br#"{"version":1,"message":{"teleport":2}}"#).await.unwrap_err();
        assert!(matches!(odd, FrameError::Shape(_)) && odd.in_step());
        let huge = read_frame::<Down>(&mut (MAX_FRAME + 1).to_be_bytes().as_slice()).await.unwrap_err();
        assert!(matches!(huge, FrameError::TooLarge(_)) && !huge.in_step());
    }
}
