//! Output on its way into the journal: cut into lines, secrets masked, capped.
use super::limits;

/// Lines out of bytes.
#[derive(Default)]
pub struct Lines {
    partial: Vec<u8>,
    secrets: Vec<String>,
    kept: u64,
}

impl Lines {
    /// Masks these values. Lines of a value that has several are masked one by one; values of one or two
    /// characters would mask everything and are left alone.
    pub fn new(secrets: &[String]) -> Self {
        let mut secrets: Vec<String> =
            secrets.iter().flat_map(|s| s.lines()).filter(|s| s.len() > 2).map(str::to_owned).collect();
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self { secrets, ..Self::default() }
    }

    /// Whether an unfinished line waits.
    pub fn waits(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Takes bytes; `line` gets each finished line.
    pub fn push(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let window = &rest[..rest.len().min(limits::LINE_BYTES - self.partial.len())];
            match window.iter().position(|b| *b == b'\n') {
                Some(end) => {
                    self.partial.extend_from_slice(&rest[..end]);
                    rest = &rest[end + 1..];
                    self.emit(line);
                }
                None => {
                    self.partial.extend_from_slice(window);
                    rest = &rest[window.len()..];
                    if self.partial.len() == limits::LINE_BYTES {
                        self.emit(line);
                    }
                }
            }
        }
    }

    /// Gives out an unfinished line as it is.
    pub fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        if self.waits() {
            self.emit(line);
        }
    }

    /// The text with its secrets masked.
    pub fn mask(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn emit(&mut self, line: &mut dyn FnMut(&str)) {
        let bytes = std::mem::take(&mut self.partial);
        let before = self.kept;
        self.kept += bytes.len() as u64 + 1;
        if self.kept <= limits::OUTPUT_BYTES {
            let text = String::from_utf8_lossy(&bytes);
            line(&self.mask(text.strip_suffix('\r').unwrap_or(&text)));
        } else if before <= limits::OUTPUT_BYTES {
            line(&format!(
                "[Container] The output is longer than {} bytes; the rest is not kept",
                limits::OUTPUT_BYTES
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(secrets: &[&str], chunks: &[&[u8]], want: &[&str]) {
        let mut lines = Lines::new(&secrets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let mut got = Vec::new();
        for chunk in chunks {
            lines.push(chunk, &mut |line| got.push(line.to_owned()));
        }
        lines.finish(&mut |line| got.push(line.to_owned()));
        assert_eq!(got, want);
    }

    #[test]
    fn lines_are_whole_whatever_the_chunks() {
        check(&[], &[b"a", b"b\nc\r\n\n", b"d"], &["ab", "c", "", "d"]);
        check(&[], &[&[0xff, b'\n']], &["\u{fffd}"]);
    }

    #[test]
    fn secrets_are_masked_even_across_chunks() {
        check(&["hunter22", "hunter2", "x"], &[b"pass hunt", b"er22 hunter2 x\n"], &["pass *** *** x"]);
        check(&["line one\nline two"], &[b"line two!\n"], &["***!"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = vec![b'x'; limits::LINE_BYTES + 3];
        let mut sizes = Vec::new();
        let mut lines = Lines::new(&[]);
        lines.push(&long, &mut |line| sizes.push(line.len()));
        lines.push(b"\n", &mut |line| sizes.push(line.len()));
        assert_eq!(sizes, [limits::LINE_BYTES, 3]);
    }
}
