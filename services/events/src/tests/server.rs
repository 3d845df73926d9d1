//! A server on the loopback.
use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server that answers every request with a status, those for tokens with what it is told to, and keeps what it was sent.
pub(super) struct Server {
    pub url: String,
    heard: Arc<Mutex<Vec<String>>>,
    says: Arc<Mutex<Says>>,
}

struct Says {
    status: u16,
    /// Statuses that come first, once each.
    first: VecDeque<u16>,
    /// What is asked for at `/token`.
    token: (u16, String),
}

impl Says {
    fn answer(&mut self, request: &str) -> (u16, String) {
        match request.split(' ').nth(1).is_some_and(|path| path.starts_with("/token")) {
            true => self.token.clone(),
            false => (self.first.pop_front().unwrap_or(self.status), String::new()),
        }
    }
}

impl Server {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let says = Says { status: 200, first: VecDeque::new(), token: (404, String::new()) };
        let (heard, says) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Mutex::new(says)));
        let server = Self { url, heard: heard.clone(), says: says.clone() };
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut sent = Vec::new();
                while !whole(&sent) {
                    assert!(stream.read_buf(&mut sent).await.unwrap() > 0);
                }
                let sent = String::from_utf8(sent).unwrap();
                let (status, body) = says.lock().unwrap().answer(&sent);
                heard.lock().unwrap().push(sent);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nLocation: /other\r\n\r\n");
                // Who is sent more than it reads leaves before the end.
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        server
    }

    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    pub fn say(&self, status: u16) {
        self.says.lock().unwrap().status = status;
    }

    /// Once, before anything else.
    pub fn say_first(&self, status: u16) {
        self.says.lock().unwrap().first.push_back(status);
    }

    pub fn token(&self, status: u16, answer: impl ToString) {
        self.says.lock().unwrap().token = (status, answer.to_string());
    }
}

/// Whether head and body of a request have come.
fn whole(sent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sent).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    body.len() >= length.unwrap_or(0)
}
