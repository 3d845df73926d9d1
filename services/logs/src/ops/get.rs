//! Reading one stream.
use api::logs::*;
use kernel::{Access, Cx, Fault, Handle};
use store::PageToken;

use super::limit;
use crate::error::Error;
use crate::names::{named, on_stream, scope};
use crate::scan::{Position, Scan};
use crate::{Logs, limits};

impl Handle<GetLogEvents> for Logs {
    async fn access(&self, cx: &Cx, input: &GetLogEvents) -> Result<Vec<Access>, Fault> {
        let group = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        Ok(on_stream(cx, "logs:GetLogEvents", &group, &input.log_stream_name))
    }

    async fn handle(&self, cx: &Cx, input: GetLogEvents) -> Result<GetLogEventsOutput, Fault> {
        let name = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let scope = scope(cx);
        let group = self.group(&scope, &name).await?.value;
        let stream = self.stream(&scope, &group, &input.log_stream_name).await?;
        let start = input.start_time.unwrap_or(0).max(group.cutoff(self.now()));
        let (mut lower, mut upper) = (Position::at(start), Position::at(input.end_time.unwrap_or(i64::MAX)));
        let token = Token::read(&stream.value.id, input.next_token.as_deref())?;
        let backward = match &token {
            Some(Token::Forward(from)) => {
                lower = lower.max(from.clone());
                false
            }
            Some(Token::Backward(until)) => {
                upper = upper.min(until.clone());
                true
            }
            None => !input.start_from_head.unwrap_or(false),
        };
        let id = stream.value.id.clone();
        let limit = limit(input.limit, limits::PAGE);
        let scan = Scan { scope, streams: vec![stream], lower, upper, backward, limit, keep: &|_| true };
        let mut found = self.scan(scan).await?.found;
        if backward {
            found.reverse();
        }
        // At an end the token stays what it was: that is how clients know.
        let here = match token {
            Some(Token::Forward(at) | Token::Backward(at)) => at,
            None => Position::at(start),
        };
        let first = found.first().map_or(here.clone(), |event| event.position.clone());
        let behind = found.last().map_or(here, |event| event.position.after());
        let events = found.into_iter().map(|event| OutputLogEvent {
            timestamp: Some(event.position.0),
            message: Some(event.message),
            ingestion_time: Some(event.ingested),
        });
        Ok(GetLogEventsOutput {
            events: Some(events.collect()),
            next_forward_token: Some(Token::Forward(behind).write(&id)),
            next_backward_token: Some(Token::Backward(first).write(&id)),
        })
    }
}

/// Where a reader of one stream is; `f/…` and `b/…`, as clients have always seen them.
enum Token {
    Forward(Position),
    Backward(Position),
}

impl Token {
    fn write(self, stream: &str) -> String {
        let list = |direction| format!("GetLogEvents/{direction}/{stream}");
        match self {
            Self::Forward(at) => format!("f/{}", PageToken::encode(&list("f"), at)),
            Self::Backward(at) => format!("b/{}", PageToken::encode(&list("b"), at)),
        }
    }

    fn read(stream: &str, token: Option<&str>) -> Result<Option<Self>, Error> {
        let list = |direction| format!("GetLogEvents/{direction}/{stream}");
        match token.and_then(|token| token.split_once('/')) {
            None if token.is_none() => Ok(None),
            Some(("f", token)) => Ok(Some(Self::Forward(PageToken::decode(&list("f"), token)?))),
            Some(("b", token)) => Ok(Some(Self::Backward(PageToken::decode(&list("b"), token)?))),
            _ => Err(Error::BadToken),
        }
    }
}
