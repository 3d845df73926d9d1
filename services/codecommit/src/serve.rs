//! A CGI program under a request: its input and its answer stream.
use bytes::Bytes;
use git_client::bounded;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use kernel::Body;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::limits;
use crate::pipe::{self, Piece, StdError};

/// The program, running, with the request's body.
pub struct Backend {
    child: Child,
    body: Body,
}

type Head = Result<Response<()>, StdError>;

impl Backend {
    /// Starts it.
    pub fn start(mut command: Command, body: Body) -> std::io::Result<Self> {
        Ok(Self { child: command.spawn()?, body })
    }

    /// Its answer. `after` is done once it has ended, before the answer ends: a client that has heard all of it finds
    /// what `after` did. A client that leaves ends neither.
    pub async fn respond(
        self,
        after: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Response<Body>, StdError> {
        let (head, told) = oneshot::channel();
        let (pieces, rest) = mpsc::channel(pipe::PIECES);
        tokio::spawn(self.run(head, pieces, after));
        let head = told.await.map_err(|_| "git http-backend ended without an answer")??;
        Ok(head.map(|()| pipe::body(rest)))
    }

    async fn run(
        mut self,
        head: oneshot::Sender<Head>,
        pieces: mpsc::Sender<Piece>,
        after: impl Future<Output = ()> + Send,
    ) {
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let feed = async {
            if let Some(stdin) = stdin
                && let Err(error) = feed(self.body, stdin).await
            {
                tracing::debug!(%error, "a request to git broke off");
            }
        };
        let answer = async {
            if let Some(stdout) = stdout {
                answer(stdout, head, &pieces).await;
            }
        };
        let ((), (), complaint) = tokio::join!(feed, answer, bounded(stderr, limits::COMPLAINT));
        let status = self.child.wait().await;
        if let Ok((complaint, _)) = complaint
            && !complaint.is_empty()
        {
            tracing::debug!(complaint = %String::from_utf8_lossy(&complaint).trim(), "git http-backend");
        }
        after.await;
        if !status.is_ok_and(|status| status.success()) {
            let _ = pieces.send(Err("git http-backend failed".into())).await;
        }
    }
}

/// Writes the request's body; closing the pipe is its end, early or not.
async fn feed(mut body: Body, mut stdin: ChildStdin) -> Result<(), StdError> {
    let mut size = 0;
    while let Some(frame) = timeout(limits::IDLE, body.frame()).await? {
        let Ok(data) = frame?.into_data() else { continue };
        size += data.len() as u64;
        if size > limits::PUSH {
            return Err(format!("the request has more than {} bytes", limits::PUSH).into());
        }
        stdin.write_all(&data).await?;
    }
    Ok(())
}

/// Passes the answer on. When nobody reads it any more, the rest is read all the same, so that the program ends.
async fn answer(stdout: ChildStdout, head: oneshot::Sender<Head>, pieces: &mpsc::Sender<Piece>) {
    let mut stdout = BufReader::new(stdout);
    let read = read_head(&mut stdout).await;
    let mut heard = read.is_ok() & head.send(read).is_ok();
    loop {
        let piece: Bytes = match pipe::next(&mut stdout).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return,
            Err(error) => {
                let _ = pieces.send(Err(error.into())).await;
                return;
            }
        };
        heard = heard && matches!(timeout(limits::IDLE, pieces.send(Ok(piece))).await, Ok(Ok(())));
    }
}

/// CGI's head: header lines, a `Status` among them, and an empty line.
async fn read_head(stdout: &mut BufReader<ChildStdout>) -> Head {
    let mut response = Response::new(());
    let mut size = 0;
    loop {
        let mut line = String::new();
        let read = stdout.read_line(&mut line).await?;
        size += read;
        if read == 0 || size > limits::CGI_HEAD {
            return Err("git http-backend answered without a whole head".into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(response);
        }
        let (name, value) =
            line.split_once(':').ok_or("git http-backend answered with a line that is no header")?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.split_whitespace().next().unwrap_or_default();
            *response.status_mut() = StatusCode::from_bytes(code.as_bytes())?;
        } else {
            let (name, value) = (HeaderName::try_from(name)?, HeaderValue::try_from(value.trim())?);
            response.headers_mut().insert(name, value);
        }
    }
}
