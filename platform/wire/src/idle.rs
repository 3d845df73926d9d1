//! Bodies whose sender has gone silent: the connection, and its place among the listener's, would be held for ever.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body that fails when nothing comes for a time while somebody waits for it.
pub struct Idle<B> {
    body: B,
    most: Duration,
    /// None while nobody waits.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> Idle<B> {
    /// At most this long between two frames.
    pub fn new(body: B, most: Duration) -> Self {
        Self { body, most, silence: None }
    }
}

impl<B: Body + Unpin> Body for Idle<B>
where
    B::Error: Into<Broken>,
{
    type Data = B::Data;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let most = this.most;
        let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(most)));
        match silence.as_mut().poll(cx) {
            Poll::Ready(()) => {
                silence.as_mut().reset(Instant::now() + most);
                let said = format!("nothing of the body came for {} s", most.as_secs());
                Poll::Ready(Some(Err(said.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_sender_is_given_up_and_a_slow_one_is_not() {
        let most = Duration::from_secs(60);
        let whole = Idle::new(Full::new(Bytes::from_static(b"all")), most).collect().await.unwrap();
        assert_eq!(whole.to_bytes(), "all");
        let slow = futures::stream::unfold(0, |n| async move {
            sleep(Duration::from_secs(59)).await;
            (n < 5).then(|| (Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"x"))), n + 1))
        });
        let slow = Idle::new(StreamBody::new(Box::pin(slow)), most).collect().await.unwrap();
        assert_eq!(slow.to_bytes(), "xxxxx");
        let silent = futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
        let failed = Idle::new(StreamBody::new(silent), most).collect().await.unwrap_err();
        assert_eq!(failed.to_string(), "nothing of the body came for 60 s");
    }
}
