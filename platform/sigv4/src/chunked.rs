//! `aws-chunked` bodies: each chunk carries a signature over itself and over the one before.
use bytes::{Buf, Bytes, BytesMut};

use crate::Refusal;
use crate::key::{SigningKey, hash, hash_hex};

/// The longest chunk header or trailer line, in bytes.
const MAX_LINE: usize = 8 * 1024;
/// Trailer lines at most.
const MAX_TRAILERS: usize = 16;

/// The chain of signatures, from that of the request's head on.
#[derive(Clone)]
pub struct Chain {
    key: SigningKey,
    stamp: String,
    scope: String,
    previous: String,
    trailer: bool,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain(after {})", self.previous)
    }
}

impl Chain {
    pub(crate) fn new(key: SigningKey, stamp: String, scope: String, seed: String, trailer: bool) -> Self {
        Self { key, stamp, scope, previous: seed, trailer }
    }

    fn verify(&mut self, kind: &str, what: &str, signature: &str) -> Result<(), Refusal> {
        let Self { stamp, scope, previous, .. } = &*self;
        let text = format!("AWS4-HMAC-SHA256-{kind}\n{stamp}\n{scope}\n{previous}\n{what}");
        if !self.key.verify(&text, signature) {
            return Err(Refusal::Mismatch { canonical_request: String::new(), string_to_sign: text });
        }
        signature.clone_into(&mut self.previous);
        Ok(())
    }
}

enum State {
    /// Before a chunk's header.
    Header,
    /// Inside a chunk.
    Data,
    /// Before the line end that closes a chunk.
    DataEnd,
    /// Among the trailers.
    Trailer,
    Done,
}

/// Decodes an `aws-chunked` body piece by piece. Data goes on before the signature of its chunk is known, so that
/// nothing is held back; a chunk that proves false is an error in the stream, and whoever stores must discard it all.
pub struct Decoder {
    chain: Option<Chain>,
    state: State,
    buffer: BytesMut,
    /// Bytes still to come in this chunk.
    left: u64,
    /// Bytes still to come in all, if the client said.
    expected: Option<u64>,
    signature: String,
    digest: aws_lc_rs::digest::Context,
    trailers: Vec<(String, String)>,
}

impl Decoder {
    /// For a body of `length` decoded bytes (`x-amz-decoded-content-length`); without a chain nothing is signed.
    pub fn new(chain: Option<Chain>, length: Option<u64>) -> Self {
        Self {
            chain,
            state: State::Header,
            buffer: BytesMut::new(),
            left: 0,
            expected: length,
            signature: String::new(),
            digest: fresh(),
            trailers: Vec::new(),
        }
    }

    /// Takes what has arrived, and gives what it decodes to.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Bytes, Refusal> {
        self.buffer.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        loop {
            match self.state {
                State::Header => match self.line()? {
                    Some(line) => self.header(&line)?,
                    None => break,
                },
                State::Data => {
                    let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len());
                    if take == 0 {
                        break;
                    }
                    let piece = self.buffer.split_to(take);
                    self.digest.update(&piece);
                    out.extend_from_slice(&piece);
                    self.left -= take as u64;
                    if self.left == 0 {
                        self.state = State::DataEnd;
                    }
                }
                State::DataEnd => {
                    if self.buffer.len() < 2 {
                        break;
                    }
                    if !self.buffer.starts_with(b"\r\n") {
                        return Err(malformed("a chunk does not end where its size says"));
                    }
                    self.buffer.advance(2);
                    self.chunk_ends()?;
                    self.state = State::Header;
                }
                State::Trailer => match self.line()? {
                    Some(line) => self.trailer(&line)?,
                    None => break,
                },
                State::Done => {
                    if !self.buffer.is_empty() {
                        return Err(malformed("bytes follow the last chunk"));
                    }
                    break;
                }
            }
        }
        Ok(out.freeze())
    }

    /// The body has ended: the trailers, if it ended where it should.
    pub fn finish(&mut self) -> Result<Vec<(String, String)>, Refusal> {
        // Some clients leave out the empty line after the last chunk.
        let ended = matches!(self.state, State::Done)
            || matches!(self.state, State::Trailer) && self.buffer.is_empty() && !self.wants_trailer();
        if !ended {
            return Err(malformed("the body ends before its last chunk"));
        }
        match self.expected {
            Some(left) if left > 0 => Err(short()),
            _ => Ok(std::mem::take(&mut self.trailers)),
        }
    }

    fn wants_trailer(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.trailer)
    }

    /// The next line without its end, once it is whole.
    fn line(&mut self) -> Result<Option<String>, Refusal> {
        let Some(end) = self.buffer.iter().position(|b| *b == b'\n') else {
            return if self.buffer.len() > MAX_LINE {
                Err(malformed("a line is too long"))
            } else {
                Ok(None)
            };
        };
        let line = self.buffer.split_to(end + 1);
        let text = std::str::from_utf8(&line).map_err(|_| malformed("a line is not text"))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn header(&mut self, line: &str) -> Result<(), Refusal> {
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        self.left = u64::from_str_radix(size.trim(), 16)
            .map_err(|_| malformed("a chunk's size is not hexadecimal"))?;
        if let Some(expected) = &mut self.expected {
            *expected = expected.checked_sub(self.left).ok_or_else(short)?;
        }
        if self.chain.is_some() {
            let signature = extension.trim().strip_prefix("chunk-signature=");
            self.signature =
                signature.ok_or_else(|| malformed("a chunk carries no chunk-signature"))?.to_owned();
        }
        if self.left > 0 {
            self.state = State::Data;
            return Ok(());
        }
        self.chunk_ends()?;
        self.state = State::Trailer;
        Ok(())
    }

    fn chunk_ends(&mut self) -> Result<(), Refusal> {
        let digest = std::mem::replace(&mut self.digest, fresh()).finish();
        match &mut self.chain {
            Some(chain) => {
                let what = format!("{}\n{}", hash_hex(b""), hex::encode(digest));
                chain.verify("PAYLOAD", &what, &self.signature)
            }
            None => Ok(()),
        }
    }

    fn trailer(&mut self, line: &str) -> Result<(), Refusal> {
        if line.is_empty() {
            if self.wants_trailer() {
                return Err(malformed("the trailer carries no x-amz-trailer-signature"));
            }
            self.state = State::Done;
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a trailer line has no colon"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "x-amz-trailer-signature" {
            return self.trailer_signature(value);
        }
        if self.trailers.len() == MAX_TRAILERS {
            return Err(malformed("there are too many trailers"));
        }
        self.trailers.push((name, value.to_owned()));
        Ok(())
    }

    fn trailer_signature(&mut self, signature: &str) -> Result<(), Refusal> {
        let text: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        if let Some(chain) = &mut self.chain {
            chain.verify("TRAILER", &hex::encode(hash(text.as_bytes())), signature)?;
            chain.trailer = false;
        }
        Ok(())
    }
}

fn fresh() -> aws_lc_rs::digest::Context {
    aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256)
}

fn malformed(what: &str) -> Refusal {
    Refusal::Body(format!("The request body is not valid aws-chunked content: {what}."))
}

fn short() -> Refusal {
    Refusal::Body(
        "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
            .into(),
    )
}
