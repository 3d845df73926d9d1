//! The engine starting a task, in the background: its containers may take their time.
use kernel::Fault;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// A start under way, or how it ended. Dropped, it is given up.
pub(crate) struct Start {
    run: JoinHandle<engine::Result<()>>,
    outcome: Option<Result<engine::Result<()>>>,
}

impl Start {
    pub(crate) fn of(run: impl Future<Output = engine::Result<()>> + Send + 'static) -> Self {
        Self { run: tokio::spawn(run), outcome: None }
    }

    /// Until it has ended; that is told once. The end itself is awaited, so that no other word of it can be missed:
    /// a panic is an end too.
    pub(crate) async fn ended(&mut self) {
        if self.outcome.is_some() {
            std::future::pending::<()>().await;
        }
        let joined = (&mut self.run).await;
        self.outcome = Some(joined.map_err(|panic| Error::Fault(Fault::internal(panic))));
    }

    /// Whether [`Start::ended`] has told of its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// How it ended; none while its end was not told.
    pub(crate) fn outcome(mut self) -> Option<Result<engine::Result<()>>> {
        self.outcome.take()
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.run.abort();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn every_end_is_told_once() {
        let check = async |run: std::pin::Pin<Box<dyn Future<Output = engine::Result<()>> + Send>>,
                           fine: bool| {
            let mut start = Start::of(run);
            assert!(start.ended().now_or_never().is_none() && !start.has_ended());
            start.ended().await;
            assert!(start.has_ended() && start.ended().now_or_never().is_none());
            assert_eq!(start.outcome().unwrap().is_ok(), fine);
        };
        check(Box::pin(async { Ok(()) }), true).await;
        check(Box::pin(async { panic!("a test says so") }), false).await;
    }
}
