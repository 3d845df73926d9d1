//! Keys: parts, encoded so that they cannot be confused and sort as their parts do.
use std::fmt;

const TEXT: u8 = 0x02;
const NUMBER: u8 = 0x15;
const ESCAPE: u8 = 0x01;

/// A key: (account, region, further parts). Global services leave the region empty.
///
/// Text is tagged, escaped and terminated, numbers are tagged and big-endian: `("ab", "c")` and `("a", "bc")`
/// differ, and a key of whole parts is a prefix of exactly the keys that begin with these parts.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(crate) Vec<u8>);

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// A number.
    Number(u64),
}

impl Key {
    /// A key of an account and region.
    pub fn new(account: &str, region: &str) -> Self {
        Self::default().text(account).text(region)
    }

    /// The empty key: as a prefix, everything, of every account and region. For workers.
    pub fn all() -> Self {
        Self::default()
    }

    /// With a further text.
    pub fn text(mut self, part: impl AsRef<str>) -> Self {
        push_text(&mut self.0, part.as_ref());
        self.0.push(0);
        self
    }

    /// With a further number.
    pub fn number(mut self, part: u64) -> Self {
        self.0.push(NUMBER);
        self.0.extend(part.to_be_bytes());
        self
    }

    /// The prefix of keys whose next text part begins with `start`.
    pub fn starting(&self, start: &str) -> Prefix {
        let mut bytes = self.0.clone();
        push_text(&mut bytes, start);
        Prefix(bytes)
    }

    /// The parts, in order.
    pub fn parts(&self) -> Vec<Part> {
        let (mut parts, mut rest) = (Vec::new(), &self.0[..]);
        while let Some((part, after)) = take(rest) {
            parts.push(part);
            rest = after;
        }
        parts
    }

    /// The bytes of its first parts, so many; none if it has fewer.
    pub(crate) fn head(&self, parts: usize) -> Option<&[u8]> {
        let mut rest = &self.0[..];
        for _ in 0..parts {
            rest = take(rest)?.1;
        }
        Some(&self.0[..self.0.len() - rest.len()])
    }

    /// The text part at an index: 0 is the account, 1 the region. Empty when there is none.
    pub fn part(&self, index: usize) -> String {
        match self.parts().into_iter().nth(index) {
            Some(Part::Text(text)) => text,
            Some(Part::Number(number)) => number.to_string(),
            None => String::new(),
        }
    }

    /// The last part as text.
    pub fn last(&self) -> String {
        self.part(self.parts().len().saturating_sub(1))
    }

    /// The account it belongs to.
    pub fn account(&self) -> String {
        self.part(0)
    }

    /// The region it belongs to.
    pub fn region(&self) -> String {
        self.part(1)
    }

    /// Lower-case hexadecimal, for page tokens.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads [`Key::to_hex`].
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        Some(Self(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()))
    }
}

/// Bytes 0 and 1 are written as two, so that 0 only ever ends a text, and the order stays.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(TEXT);
    for byte in text.bytes() {
        match byte {
            0 | ESCAPE => bytes.extend([ESCAPE, byte + 1]),
            byte => bytes.push(byte),
        }
    }
}

fn take(bytes: &[u8]) -> Option<(Part, &[u8])> {
    match *bytes.first()? {
        NUMBER => {
            let (number, rest) = bytes[1..].split_first_chunk::<8>()?;
            Some((Part::Number(u64::from_be_bytes(*number)), rest))
        }
        _ => {
            let (mut text, mut at) = (Vec::new(), 1);
            loop {
                match *bytes.get(at)? {
                    0 => {
                        return Some((
                            Part::Text(String::from_utf8_lossy(&text).into_owned()),
                            &bytes[at + 1..],
                        ));
                    }
                    ESCAPE => {
                        text.push(bytes.get(at + 1)?.saturating_sub(1));
                        at += 2;
                    }
                    byte => {
                        text.push(byte);
                        at += 1;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        let texts = (0..parts.len()).map(|index| self.part(index));
        f.write_str(&texts.collect::<Vec<_>>().join("/"))
    }
}

/// Keys that begin alike: a [`Key`], or [`Key::starting`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(pub(crate) Vec<u8>);

impl From<&Key> for Prefix {
    fn from(key: &Key) -> Self {
        Self(key.0.clone())
    }
}

impl From<Key> for Prefix {
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

impl From<&Prefix> for Prefix {
    fn from(prefix: &Prefix) -> Self {
        prefix.clone()
    }
}

impl Prefix {
    /// How many whole parts it has; none if it ends within one.
    pub(crate) fn depth(&self) -> Option<usize> {
        let (mut depth, mut rest) = (0, &self.0[..]);
        while !rest.is_empty() {
            rest = take(rest)?.1;
            depth += 1;
        }
        Some(depth)
    }

    /// First key at or after the prefix, and the first behind all that begin with it.
    pub(crate) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let mut end = self.0.clone();
        while end.last() == Some(&0xFF) {
            end.pop();
        }
        match end.last_mut() {
            Some(last) => *last += 1,
            None => end.push(0xFF),
        }
        (self.0.clone(), end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(parts: &[Part]) -> Key {
        parts.iter().fold(Key::all(), |key, part| match part {
            Part::Text(text) => key.text(text),
            Part::Number(number) => key.number(*number),
        })
    }

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof!["[\\x00-\\x03a-c\u{ff}]{0,4}".prop_map(Part::Text), any::<u64>().prop_map(Part::Number)]
    }

    proptest! {
        #[test]
        fn parts_survive_and_whole_parts_are_the_only_prefixes(
            a in proptest::collection::vec(part(), 0..4),
            b in proptest::collection::vec(part(), 0..4),
        ) {
            let (left, right) = (key(&a), key(&b));
            prop_assert_eq!(left.parts(), a.clone());
            prop_assert_eq!(Key::from_hex(&left.to_hex()), Some(left.clone()));
            let (start, end) = Prefix::from(&left).range();
            prop_assert_eq!(right.0 >= start && right.0 < end, b.starts_with(&a));
        }

        #[test]
        fn text_sorts_as_text(a in "[\\x00-\\x03ab\u{ff}]{0,4}", b in "[\\x00-\\x03ab\u{ff}]{0,4}") {
            prop_assert_eq!(Key::all().text(&a).cmp(&Key::all().text(&b)), a.cmp(&b));
            let (start, end) = Key::all().starting(&a).range();
            let other = Key::all().text(&b);
            prop_assert_eq!(other.0 >= start && other.0 < end, b.starts_with(&a));
        }
    }
}
