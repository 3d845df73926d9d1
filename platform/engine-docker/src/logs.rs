//! What containers write, from a position on.
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::BytesMut;
use engine::{LogLine, LogPosition, LogStream, Result, TaskId, limits};
use futures::StreamExt;
use futures::stream::BoxStream;
use kernel::Timestamp;

use crate::Inner;
use crate::client::error;

pub(crate) fn follow(
    inner: Arc<Inner>,
    task: TaskId,
    container: String,
    position: Option<LogPosition>,
) -> BoxStream<'static, Result<LogLine>> {
    async_stream::try_stream! {
        let container = inner.container_id(&task, &container, false).await?;
        let mut lines = Lines::after(position);
        // A follower that Docker ends with its container may have missed the last lines (engine 20.10 leaves them out
        // more often than not where the last one has no newline): once it has ended, what is left is read again.
        for follow in [true, false] {
            lines = Lines::after(lines.seen());
            // Docker's `since` is asked in whole seconds; what lies before the position is left out here.
            let since = lines.skip.and_then(|p| i32::try_from(p.at.as_second()).ok()).unwrap_or(0);
            let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).timestamps(true);
            let options = options.since(since).build();
            let mut chunks = inner.client.get().await?.logs(&container, Some(options));
            while let Some(chunk) = chunks.next().await {
                if let Some(line) = lines.push(chunk.map_err(error)?) {
                    yield line;
                }
            }
        }
        for line in lines.finish() {
            yield line;
        }
    }
    .boxed()
}

/// Joins the pieces into which Docker cuts long lines, and counts positions.
struct Lines {
    skip: Option<LogPosition>,
    position: Option<LogPosition>,
    open: [Option<(Timestamp, BytesMut)>; 2],
}

impl Lines {
    fn after(position: Option<LogPosition>) -> Self {
        Self { skip: position, position: None, open: [None, None] }
    }

    /// Behind the last whole line.
    fn seen(&self) -> Option<LogPosition> {
        self.position.max(self.skip)
    }

    /// A piece of a line: `TIMESTAMP TEXT`, with a newline if the line ends with it.
    fn push(&mut self, output: LogOutput) -> Option<LogLine> {
        let stream =
            if matches!(output, LogOutput::StdErr { .. }) { LogStream::Stderr } else { LogStream::Stdout };
        let message = output.into_bytes();
        let space = message.iter().position(|b| *b == b' ')?;
        let at: Timestamp = std::str::from_utf8(&message[..space]).ok()?.parse().ok()?;
        let text = message.slice(space + 1..);
        let (text, ends) = match text.strip_suffix(b"\n") {
            Some(line) => (line, true),
            None => (&text[..], false),
        };
        let (_, line) = self.open[stream as usize].get_or_insert_with(|| (at, BytesMut::new()));
        line.extend_from_slice(text);
        if ends || line.len() >= limits::LOG_LINE {
            return self.close(stream, at);
        }
        // Where a line is open the position is that of its last piece: a follower that comes back gets it whole only
        // if it had none of it.
        self.open[stream as usize].as_mut().into_iter().for_each(|open| open.0 = at);
        None
    }

    fn close(&mut self, stream: LogStream, at: Timestamp) -> Option<LogLine> {
        let (_, line) = self.open[stream as usize].take()?;
        let position = LogPosition::after(self.position, at);
        self.position = Some(position);
        let seen = self.skip.is_some_and(|skip| position <= skip);
        let bytes = line.freeze();
        (!seen).then_some(LogLine { position, stream, bytes })
    }

    /// Lines that never ended.
    fn finish(&mut self) -> Vec<LogLine> {
        let ends = |lines: &mut Self, stream: LogStream| {
            let at = lines.open[stream as usize].as_ref()?.0;
            lines.close(stream, at)
        };
        [LogStream::Stdout, LogStream::Stderr].into_iter().filter_map(|stream| ends(self, stream)).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn piece(text: &str) -> LogOutput {
        LogOutput::StdOut { message: Bytes::copy_from_slice(text.as_bytes()) }
    }

    #[test]
    fn lines_are_whole_and_come_once() {
        let pieces = [
            "2026-01-01T00:00:01.000000001Z a\n",
            "2026-01-01T00:00:01.000000001Z b\n",
            "2026-01-01T00:00:01.000000002Z long ",
            "2026-01-01T00:00:01.000000003Z line\n",
            "2026-01-01T00:00:02Z unfinished",
        ];
        let read = |position| {
            let mut lines = Lines::after(position);
            let mut read: Vec<LogLine> = pieces.iter().filter_map(|p| lines.push(piece(p))).collect();
            read.extend(lines.finish());
            read
        };
        let all = read(None);
        let texts: Vec<_> = all.iter().map(|line| &line.bytes[..]).collect();
        assert_eq!(texts, [&b"a"[..], b"b", b"long line", b"unfinished"]);
        // From every position, exactly what follows it.
        for (i, line) in all.iter().enumerate() {
            assert_eq!(read(Some(line.position)), all[i + 1..]);
        }
    }
}
