//! Log streams.
use api::logs::*;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken};

use super::limit;
use crate::error::Error;
use crate::names::{named, on_group, on_stream, scope, stream_arn};
use crate::records::{Stream, Trash};
use crate::{Logs, limits};

impl Handle<CreateLogStream> for Logs {
    async fn access(&self, cx: &Cx, input: &CreateLogStream) -> Result<Vec<Access>, Fault> {
        Ok(on_stream(cx, "logs:CreateLogStream", &input.log_group_name, &input.log_stream_name))
    }

    async fn handle(&self, cx: &Cx, input: CreateLogStream) -> Result<CreateLogStreamOutput, Fault> {
        let scope = scope(cx);
        let stream = Stream {
            id: ids::hex(&*self.entropy, 24),
            name: input.log_stream_name.clone(),
            created: self.now(),
            first: None,
            last: None,
            ingested: None,
            next: 0,
            chunks: 0,
            bytes: 0,
        };
        let created = self.store.update(|| async {
            let group = self.group(&scope, &input.log_group_name).await?;
            let key = scope.clone().text(&group.value.id).text(&stream.name);
            if self.store.get::<Stream>(&key).await?.is_some() {
                return Err(Error::StreamExists);
            }
            Ok((Batch::new().expect(&group).create(&key, &stream), ()))
        });
        Ok(created.await.map(|()| CreateLogStreamOutput {})?)
    }
}

impl Handle<DeleteLogStream> for Logs {
    async fn access(&self, cx: &Cx, input: &DeleteLogStream) -> Result<Vec<Access>, Fault> {
        Ok(on_stream(cx, "logs:DeleteLogStream", &input.log_group_name, &input.log_stream_name))
    }

    async fn handle(&self, cx: &Cx, input: DeleteLogStream) -> Result<DeleteLogStreamOutput, Fault> {
        let scope = scope(cx);
        let deleted = self.store.update(|| async {
            let group = self.group(&scope, &input.log_group_name).await?;
            let stream = self.stream(&scope, &group.value, &input.log_stream_name).await?;
            let trash = scope.clone().text(&stream.value.id);
            Ok::<_, Error>((Batch::new().remove(&stream).put(&trash, &Trash::Stream), ()))
        });
        Ok(deleted.await.map(|()| DeleteLogStreamOutput {})?)
    }
}

impl Handle<DescribeLogStreams> for Logs {
    async fn access(&self, cx: &Cx, input: &DescribeLogStreams) -> Result<Vec<Access>, Fault> {
        let group = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        Ok(on_group(cx, "logs:DescribeLogStreams", &group))
    }

    async fn handle(&self, cx: &Cx, input: DescribeLogStreams) -> Result<DescribeLogStreamsOutput, Fault> {
        let name = named(cx, input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let group = self.group(&scope(cx), &name).await?;
        let page = Page {
            streams: scope(cx).text(&group.value.id),
            descending: input.descending.unwrap_or(false),
            limit: limit(input.limit, limits::DESCRIBED),
        };
        let token = input.next_token.as_deref();
        let (rows, next_token) = match (input.order_by.as_deref(), input.log_stream_name_prefix.as_deref()) {
            (Some("LastEventTime"), Some(_)) => {
                return Err(
                    Error::invalid("Cannot order by LastEventTime with a logStreamNamePrefix.").into()
                );
            }
            (Some("LastEventTime"), None) => self.by_time(page, token).await?,
            (_, prefix) => self.by_name(page, prefix.unwrap_or_default(), token).await?,
        };
        let log_streams = rows.into_iter().map(|stream| described(cx, &name, stream)).collect();
        Ok(DescribeLogStreamsOutput { log_streams: Some(log_streams), next_token })
    }
}

struct Page {
    streams: Key,
    descending: bool,
    limit: usize,
}

impl Page {
    /// Cuts what is more than a page; answers the position of the last that stays.
    fn cut(&self, rows: &mut Vec<Stream>) -> Option<(i64, String)> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        rows.last().filter(|_| more).map(|stream| (stream.last.unwrap_or(0), stream.name.clone()))
    }
}

impl Logs {
    async fn by_name(
        &self,
        page: Page,
        prefix: &str,
        token: Option<&str>,
    ) -> Result<(Vec<Stream>, Option<String>), Error> {
        let list = format!("DescribeLogStreams/name/{}/{prefix}", page.descending);
        let after: Option<String> = PageToken::position(&list, token)?;
        let after = after.map(|name| page.streams.clone().text(name));
        let prefix = page.streams.starting(prefix);
        let rows = match page.descending {
            false => self.store.list::<Stream>(prefix, after.as_ref(), page.limit + 1).await?,
            true => self.store.list_back::<Stream>(prefix, after.as_ref(), page.limit + 1).await?,
        };
        let mut rows: Vec<Stream> = rows.into_iter().map(|row| row.value).collect();
        let next = page.cut(&mut rows).map(|(_, name)| PageToken::encode(&list, name));
        Ok((rows, next))
    }

    async fn by_time(&self, page: Page, token: Option<&str>) -> Result<(Vec<Stream>, Option<String>), Error> {
        let list = format!("DescribeLogStreams/time/{}", page.descending);
        let after: Option<(i64, String)> = PageToken::position(&list, token)?;
        let rows = self.store.all::<Stream>(&page.streams).await?;
        let mut rows: Vec<Stream> = rows.into_iter().map(|row| row.value).collect();
        let place = |stream: &Stream| (stream.last.unwrap_or(0), stream.name.clone());
        rows.sort_by_key(place);
        if page.descending {
            rows.reverse();
        }
        rows.retain(|stream| match &after {
            None => true,
            Some(after) if page.descending => place(stream) < *after,
            Some(after) => place(stream) > *after,
        });
        let next = page.cut(&mut rows).map(|place| PageToken::encode(&list, place));
        Ok((rows, next))
    }
}

fn described(cx: &Cx, group: &str, stream: Stream) -> LogStream {
    LogStream {
        arn: Some(stream_arn(cx, group, &stream.name)),
        log_stream_name: Some(stream.name),
        creation_time: Some(stream.created),
        first_event_timestamp: stream.first,
        last_event_timestamp: stream.last,
        last_ingestion_time: stream.ingested,
        upload_sequence_token: Some(super::put::sequence_token(stream.next)),
        // AWS has answered zero for streams since 2019.
        stored_bytes: Some(0),
    }
}
