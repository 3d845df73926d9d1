//! Reading many streams, filtered.
use api::logs::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Key, PageToken, Row};

use super::limit;
use crate::error::Error;
use crate::names::{named, on_group, scope};
use crate::pattern::Pattern;
use crate::records::{Group, Stream};
use crate::scan::{Found, Position, Scan};
use crate::{Logs, limits};

impl Handle<FilterLogEvents> for Logs {
    async fn access(&self, cx: &Cx, input: &FilterLogEvents) -> Result<Vec<Access>, Fault> {
        let group = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        Ok(on_group(cx, "logs:FilterLogEvents", &group))
    }

    async fn handle(&self, cx: &Cx, input: FilterLogEvents) -> Result<FilterLogEventsOutput, Fault> {
        let name = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let pattern = Pattern::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
        let scope = scope(cx);
        let group = self.group(&scope, &name).await?.value;
        let streams = self.searched(&scope, &group, &input).await?;

        // Latest first, on request; each direction has its own tokens.
        let backward = input.start_from_head == Some(false);
        let list = format!("FilterLogEvents/{backward}/{}", group.id);
        let token: Option<Position> =
            PageToken::position(&list, input.next_token.as_deref()).map_err(Error::from)?;
        let start = input.start_time.unwrap_or(0).max(group.cutoff(self.now()));
        // The end is inclusive here, unlike in GetLogEvents.
        let end = input.end_time.map_or(i64::MAX, |end| end.saturating_add(1));
        let (mut lower, mut upper) = (Position::at(start), Position::at(end));
        match token {
            Some(until) if backward => upper = upper.min(until),
            Some(from) => lower = lower.max(from),
            None => {}
        }
        let limit = limit(input.limit, limits::PAGE);
        let keep = |message: &str| pattern.matches(message);
        let page = self.scan(Scan { scope, streams, lower, upper, backward, limit, keep: &keep }).await?;
        Ok(FilterLogEventsOutput {
            events: Some(page.found.into_iter().map(filtered).collect()),
            // Deprecated: AWS answers an empty list.
            searched_log_streams: Some(Vec::new()),
            next_token: page.rest.map(|rest| PageToken::encode(&list, rest)),
        })
    }
}

impl Logs {
    async fn searched(
        &self,
        scope: &Key,
        group: &Group,
        input: &FilterLogEvents,
    ) -> Result<Vec<Row<Stream>>, Error> {
        let streams = scope.clone().text(&group.id);
        match (&input.log_stream_names, &input.log_stream_name_prefix) {
            (Some(_), Some(_)) => Err(Error::invalid(
                "Only one of logStreamNames and logStreamNamePrefix may be given: leave one of them out.",
            )),
            (Some(names), None) => {
                let mut found = Vec::with_capacity(names.len());
                for name in names {
                    found.push(self.stream(scope, group, name).await?);
                }
                found.dedup_by(|a, b| a.key == b.key);
                Ok(found)
            }
            (None, prefix) => {
                Ok(self.store.all(streams.starting(prefix.as_deref().unwrap_or_default())).await?)
            }
        }
    }
}

fn filtered(event: Found) -> FilteredLogEvent {
    let Position(at, stream, number) = event.position;
    // 56 digits, as clients know them: they order as the events do, and are the same in every answer.
    let tie = u64::from_str_radix(event.stream.get(..15).unwrap_or_default(), 16).unwrap_or(0);
    FilteredLogEvent {
        log_stream_name: Some(stream),
        timestamp: Some(at),
        message: Some(event.message),
        ingestion_time: Some(event.ingested),
        event_id: Some(format!("{at:016}{tie:020}{number:020}")),
    }
}
