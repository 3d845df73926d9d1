//! Events from users, and trying patterns.
use api::events::*;
use kernel::{Access, Cx, Fault, Handle, ids};
use serde_json::Value;
use store::{Batch, Event};

use super::{bus_arn, only_default};
use crate::error::Error;
use crate::pattern::Pattern;
use crate::{Events, limits};

impl Handle<PutEvents> for Events {
    async fn access(&self, cx: &Cx, _: &PutEvents) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:PutEvents", bus_arn(cx))])
    }

    async fn handle(&self, cx: &Cx, input: PutEvents) -> Result<PutEventsOutput, Fault> {
        if input.endpoint_id.is_some() {
            return Err(Error::invalid("EndpointId is not served by Longshore: leave it out.").into());
        }
        if input.entries.iter().map(size).sum::<usize>() > limits::ENTRIES {
            return Err(Error::invalid("Total size of the entries in the request is over the limit.").into());
        }
        let mut batch = Batch::new();
        let (mut entries, mut failed) = (Vec::with_capacity(input.entries.len()), 0);
        for entry in input.entries {
            match self.event(cx, entry) {
                Ok(event) => {
                    entries.push(PutEventsResultEntry {
                        event_id: Some(event.id.clone()),
                        ..Default::default()
                    });
                    batch = batch.event(event);
                }
                Err((code, message)) => {
                    failed += 1;
                    let (error_code, error_message) = (Some(code.into()), Some(message));
                    entries.push(PutEventsResultEntry { event_id: None, error_code, error_message });
                }
            }
        }
        self.store.commit(batch).await.map_err(Error::from)?;
        Ok(PutEventsOutput { failed_entry_count: Some(failed), entries: Some(entries) })
    }
}

/// As AWS counts an entry.
fn size(entry: &PutEventsRequestEntry) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let resources: usize = entry.resources.iter().flatten().map(String::len).sum();
    let time = if entry.time.is_some() { 14 } else { 0 };
    time + text(&entry.source) + text(&entry.detail_type) + text(&entry.detail) + resources
}

impl Events {
    /// The event of an entry, or the code and message of what is wrong with it.
    fn event(&self, cx: &Cx, entry: PutEventsRequestEntry) -> Result<Event, (&'static str, String)> {
        let required = |name: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                (
                    "InvalidArgument",
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
                )
            })
        };
        only_default(cx, entry.event_bus_name.as_deref())
            .map_err(|error| ("ResourceNotFoundException", error.to_string()))?;
        let source = required("Source", entry.source)?;
        let detail_type = required("DetailType", entry.detail_type)?;
        let detail = required("Detail", entry.detail)?;
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".into()));
        }
        let detail: Value = match serde_json::from_str(&detail) {
            Ok(detail @ Value::Object(_)) => detail,
            _ => return Err(("MalformedDetail", "Detail is malformed.".into())),
        };
        let time = entry.time.unwrap_or_else(|| self.clock.now());
        let id = ids::uuid(&*self.entropy);
        let event = Event::new(&source, &detail_type, cx.account(), &cx.region, id, time).detail(detail);
        Ok(entry.resources.into_iter().flatten().fold(event, Event::resource))
    }
}

impl Handle<TestEventPattern> for Events {
    async fn access(&self, _: &Cx, _: &TestEventPattern) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("events:TestEventPattern", "*")])
    }

    async fn handle(&self, _: &Cx, input: TestEventPattern) -> Result<TestEventPatternOutput, Fault> {
        let pattern = Pattern::parse(&input.event_pattern)?;
        let event: Value = serde_json::from_str(&input.event)
            .map_err(|_| Error::invalid("Parameter Event is not valid. Reason: it is not JSON."))?;
        let fields = ["id", "account", "source", "time", "region", "resources", "detail-type"];
        if let Some(missing) = fields.iter().find(|field| event.get(field).is_none()) {
            let text = format!("Parameter Event is not valid. Reason: the field {missing} is required.");
            return Err(Error::invalid(text).into());
        }
        Ok(TestEventPatternOutput { result: Some(pattern.matches(&event)) })
    }
}
