//! Docker's events, turned into wakes.
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use engine::{Change, Result};
use futures::StreamExt;

use crate::Inner;
use crate::client::error;
use crate::names::TASK;

/// Between two attempts to reach an engine that does not answer: nothing wakes us when it comes back.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// What happens to containers that somebody may wait for. Health checks are exec events by the dozen: not these.
const ACTIONS: [&str; 6] = ["create", "start", "die", "oom", "destroy", "health_status"];

/// Watches until the engine's last handle is gone. After each break everything may have changed, and is told so.
pub(crate) async fn watch(inner: Weak<Inner>) {
    let mut pause = RETRY.0;
    loop {
        let Some(strong) = inner.upgrade() else { return };
        match listen(&inner, strong).await {
            Ok(()) => pause = RETRY.0,
            Err(error) => {
                tracing::debug!(%error, "the container engine's events are not to be had");
                let Some(strong) = inner.upgrade() else { return };
                // Nobody waits for an engine that is not there.
                strong.networks.send_if_modified(|known| {
                    let first = known.is_none();
                    known.get_or_insert_default();
                    first
                });
                pause = (pause * 2).min(RETRY.1);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// One connection's events. Holds no strong reference while it waits.
async fn listen(inner: &Weak<Inner>, strong: Arc<Inner>) -> Result<()> {
    let client = strong.client.get().await?.clone();
    // From before the subscription, by the engine's own clock: none falls between the two.
    let now = client.info().await.map_err(error)?.system_time;
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ("label".to_owned(), vec![strong.names.owner_label()]),
    ]);
    let since = now.as_deref().and_then(crate::status::time).map(|at| at.as_second().to_string());
    let options =
        EventsOptionsBuilder::new().filters(&filters).since(since.as_deref().unwrap_or("0")).build();
    let mut events = client.events(Some(options));
    strong.refresh_networks().await?;
    strong.notifier.notify(Change::All);
    drop(strong);
    while let Some(event) = events.next().await {
        let event = event.map_err(error)?;
        let Some(inner) = inner.upgrade() else { return Ok(()) };
        let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
        if let Some(Ok(id)) = attributes.get(TASK).map(|id| id.parse()) {
            inner.notifier.notify(Change::Task(id));
        }
    }
    Ok(())
}
