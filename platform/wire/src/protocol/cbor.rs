//! Smithy's RPC v2 in CBOR (RFC 8949): bytes are checked once to be one well-formed item, and then read in place, so that
//! a request costs no more memory than it has bytes.
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use kernel::json::{epoch, from_epoch};
use kernel::schema::{List, Map, Member, Structure, TimeFormat};
use kernel::shape::{serialization, within};
use kernel::{Fault, Reader, Timestamp, Writer};

use crate::limits::DEPTH;

/// The three upper bits of an item's first byte.
mod major {
    pub const UNSIGNED: u8 = 0;
    pub const NEGATIVE: u8 = 1;
    pub const BYTES: u8 = 2;
    pub const TEXT: u8 = 3;
    pub const LIST: u8 = 4;
    pub const MAP: u8 = 5;
    pub const TAG: u8 = 6;
    pub const SIMPLE: u8 = 7;
}

/// The lower bits of a first byte of major type 7.
mod simple {
    pub const FALSE: u8 = 20;
    pub const TRUE: u8 = 21;
    pub const NULL: u8 = 22;
    pub const UNDEFINED: u8 = 23;
    pub const HALF: u8 = 25;
    pub const SINGLE: u8 = 26;
    pub const DOUBLE: u8 = 27;
}

/// No length, but an end: an item's lower bits, and those of the end itself.
const INDEFINITE: u8 = 31;
const BREAK: u8 = 0xff;
/// Seconds since 1970, whole or not.
const EPOCH_TAG: u64 = 1;

/// What is not CBOR.
type Malformed = &'static str;

/// The first byte of an item, and the number that belongs to it.
#[derive(Clone, Copy)]
struct Head {
    major: u8,
    info: u8,
    number: u64,
}

/// The rest of the bytes.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Malformed> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.0.len());
        let (taken, rest) = self.0.split_at(count.ok_or("it ends within an item")?);
        self.0 = rest;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, Malformed> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        let number = match info {
            0..24 => u64::from(info),
            24..28 => {
                self.take(1 << (info - 24))?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
            }
            INDEFINITE if (major::BYTES..=major::MAP).contains(&major) => 0,
            INDEFINITE => return Err("a length or an end stands where none may"),
            _ => return Err("a first byte is reserved"),
        };
        if major == major::SIMPLE
            && !matches!(info, simple::FALSE..=simple::UNDEFINED | simple::HALF..=simple::DOUBLE)
        {
            return Err("a simple value is neither boolean, null nor a number");
        }
        Ok(Head { major, info, number })
    }

    /// Whether an item of no length ends here; steps over its end.
    fn ends(&mut self) -> bool {
        let ends = self.0.first() == Some(&BREAK);
        self.0 = &self.0[usize::from(ends)..];
        ends
    }

    /// The bytes of a string whose head was read: the one run, or the runs until the end, joined.
    fn run(&mut self, head: Head) -> Result<Cow<'a, [u8]>, Malformed> {
        if head.info != INDEFINITE {
            return self.take(head.number).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        while !self.ends() {
            let part = self.head()?;
            if part.major != head.major || part.info == INDEFINITE {
                return Err("a string of parts has a part of another kind");
            }
            let part_bytes = self.take(part.number)?;
            // Each part of a text is text by itself.
            if head.major == major::TEXT && std::str::from_utf8(part_bytes).is_err() {
                return Err("a text is not UTF-8");
            }
            whole.extend_from_slice(part_bytes);
        }
        Ok(Cow::Owned(whole))
    }

    /// Steps over an item, which is thereby known to be well-formed.
    fn skip(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth == 0 {
            return Err("it nests too deep");
        }
        let head = self.head()?;
        match head.major {
            major::TEXT => std::str::from_utf8(&self.run(head)?).map(drop).map_err(|_| "a text is not UTF-8"),
            major::BYTES => self.run(head).map(drop),
            major::LIST => self.each(head, |cursor| cursor.skip(depth - 1)),
            major::MAP => self.each(head, |cursor| {
                let key = cursor.0.first().map_or(0, |first| first >> 5);
                if key != major::TEXT {
                    return Err("a key of a map is not text");
                }
                cursor.skip(depth - 1)?;
                cursor.skip(depth - 1)
            }),
            major::TAG => self.skip(depth - 1),
            _ => Ok(()),
        }
    }

    /// Every item, or entry, of a list or map whose head was read.
    fn each<E: From<Malformed>>(
        &mut self,
        head: Head,
        mut step: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if head.info == INDEFINITE {
            while !self.ends() {
                step(self)?;
            }
            return Ok(());
        }
        // As every item has a byte, a count that lies ends with the bytes.
        (0..head.number).try_for_each(|_| step(self))
    }
}

/// Checks that a body is one item of CBOR. No body is an empty structure.
pub fn checked(body: Bytes) -> Result<Bytes, Fault> {
    if body.is_empty() {
        return Ok(Bytes::from_static(&[major::MAP << 5]));
    }
    let mut cursor = Cursor(&body);
    cursor.skip(DEPTH).map_err(unreadable)?;
    if !cursor.0.is_empty() {
        return Err(unreadable("more follows its one item"));
    }
    Ok(body)
}

fn unreadable(reason: Malformed) -> Fault {
    serialization(format!("The body is not CBOR: {reason}"))
}

/// The fault of a read, from either side of a closure.
struct Failed(Fault);

impl From<Malformed> for Failed {
    fn from(reason: Malformed) -> Self {
        Self(unreadable(reason))
    }
}

/// A view of an item within [`checked`] bytes.
pub struct CborReader<'a>(Cursor<'a>);

impl<'a> CborReader<'a> {
    /// A view of the whole.
    pub fn new(body: &'a [u8]) -> Self {
        Self(Cursor(body))
    }

    /// The item's head, and what follows it.
    fn open(&self) -> Result<(Head, Cursor<'a>), Fault> {
        let mut cursor = self.0;
        let head = cursor.head().map_err(unreadable)?;
        Ok((head, cursor))
    }

    fn wrong<T>(expected: &str, head: Head) -> Result<T, Fault> {
        let found = match (head.major, head.info) {
            (major::UNSIGNED | major::NEGATIVE, _) => "a whole number",
            (major::BYTES, _) => "bytes",
            (major::TEXT, _) => "a string",
            (major::LIST, _) => "a list",
            (major::MAP, _) => "a structure",
            (major::TAG, _) => "a tagged value",
            (_, simple::FALSE | simple::TRUE) => "a boolean",
            (_, simple::NULL | simple::UNDEFINED) => "null",
            _ => "a number",
        };
        Err(serialization(format!("Expected {expected}, found {found}")))
    }

    fn entries(
        &self,
        expected: &str,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (head, mut cursor) = self.open()?;
        if head.major != major::MAP {
            return Self::wrong(expected, head);
        }
        let visited = cursor.each(head, |cursor| {
            let key = cursor.head()?;
            let key = cursor.run(key)?;
            let key = std::str::from_utf8(&key).map_err(|_| "a key is not UTF-8")?;
            let value = *cursor;
            cursor.skip(DEPTH)?;
            each(key, &CborReader(value)).map_err(Failed)
        });
        visited.map_err(|Failed(fault)| fault)
    }
}

/// The value of a float's bits, by its head.
fn float(head: Head) -> f64 {
    match head.info {
        simple::DOUBLE => f64::from_bits(head.number),
        simple::SINGLE => f64::from(f32::from_bits(head.number as u32)),
        _ => half(head.number as u16),
    }
}

/// Sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let value = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -value } else { value }
}

impl Reader for CborReader<'_> {
    fn is_null(&self) -> bool {
        self.open().is_ok_and(|(head, _)| {
            head.major == major::SIMPLE && matches!(head.info, simple::NULL | simple::UNDEFINED)
        })
    }
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.entries("a structure", &mut |key, value| match schema
            .members
            .iter()
            .position(|member| member.wire == key)
        {
            Some(index) => each(index, value).map_err(|fault| within(fault, schema.members[index].name)),
            None => Ok(()),
        })
    }
    fn list(
        &self,
        _: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (head, mut cursor) = self.open()?;
        if head.major != major::LIST {
            return Self::wrong("a list", head);
        }
        let visited = cursor.each(head, |cursor| {
            let item = *cursor;
            cursor.skip(DEPTH)?;
            each(&CborReader(item)).map_err(Failed)
        });
        visited.map_err(|Failed(fault)| fault)
    }
    fn map(
        &self,
        _: &'static Map,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.entries("a map", each)
    }
    fn boolean(&self) -> Result<bool, Fault> {
        match self.open()?.0 {
            Head { major: major::SIMPLE, info: info @ (simple::FALSE | simple::TRUE), .. } => {
                Ok(info == simple::TRUE)
            }
            head => Self::wrong("a boolean", head),
        }
    }
    fn integer(&self) -> Result<i64, Fault> {
        let (head, _) = self.open()?;
        let number = i64::try_from(head.number).ok();
        // `3.0` is an integer to some clients' serializers.
        let whole = |f: f64| (f.fract() == 0.0 && f.abs() < 9e15).then_some(f as i64);
        let value = match (head.major, head.info) {
            (major::UNSIGNED, _) => number,
            (major::NEGATIVE, _) => number.map(|number| -1 - number),
            (major::SIMPLE, simple::HALF..=simple::DOUBLE) => whole(float(head)),
            _ => None,
        };
        value.map_or_else(|| Self::wrong("a whole number of 64 bits", head), Ok)
    }
    fn double(&self) -> Result<f64, Fault> {
        let (head, _) = self.open()?;
        match (head.major, head.info) {
            (major::UNSIGNED, _) => Ok(head.number as f64),
            (major::NEGATIVE, _) => Ok(-1.0 - head.number as f64),
            (major::SIMPLE, simple::HALF..=simple::DOUBLE) => Ok(float(head)),
            _ => Self::wrong("a number", head),
        }
    }
    fn text(&self) -> Result<String, Fault> {
        let (head, mut cursor) = self.open()?;
        if head.major != major::TEXT {
            return Self::wrong("a string", head);
        }
        let bytes = cursor.run(head).map_err(unreadable)?.into_owned();
        String::from_utf8(bytes).map_err(|_| unreadable("a text is not UTF-8"))
    }
    fn blob(&self) -> Result<Bytes, Fault> {
        let (head, mut cursor) = self.open()?;
        if head.major != major::BYTES {
            return Self::wrong("bytes", head);
        }
        cursor.run(head).map(|bytes| Bytes::from(bytes.into_owned())).map_err(unreadable)
    }
    fn timestamp(&self, _: TimeFormat) -> Result<Timestamp, Fault> {
        let (head, seconds) = self.open()?;
        if (head.major, head.number) != (major::TAG, EPOCH_TAG) {
            return Self::wrong("an instant (tag 1)", head);
        }
        let seconds = CborReader(seconds).double()?;
        from_epoch(seconds).ok_or_else(|| serialization(format!("{seconds} is no instant")))
    }
}

/// Builds CBOR: containers have no length but an end, as their members are not counted beforehand.
#[derive(Default)]
pub struct CborWriter(Vec<u8>);

impl CborWriter {
    /// What was written.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }

    fn head(&mut self, major: u8, number: u64) {
        let first = major << 5;
        match number {
            0..24 => self.0.push(first | number as u8),
            24..0x100 => self.0.extend([first | 24, number as u8]),
            0x100..0x1_0000 => {
                self.0.push(first | 25);
                self.0.extend((number as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(first | 26);
                self.0.extend((number as u32).to_be_bytes());
            }
            _ => {
                self.0.push(first | 27);
                self.0.extend(number.to_be_bytes());
            }
        }
    }

    fn begin(&mut self, major: u8) {
        self.0.push(major << 5 | INDEFINITE);
    }
}

impl Writer for CborWriter {
    fn begin_structure(&mut self, _: &'static Structure) {
        self.begin(major::MAP);
    }
    fn member(&mut self, member: &'static Member) {
        self.text(member.wire);
    }
    fn end_structure(&mut self) {
        self.0.push(BREAK);
    }
    fn begin_list(&mut self, _: &'static List) {
        self.begin(major::LIST);
    }
    fn end_list(&mut self) {
        self.0.push(BREAK);
    }
    fn begin_map(&mut self, _: &'static Map) {
        self.begin(major::MAP);
    }
    fn key(&mut self, key: &str) {
        self.text(key);
    }
    fn end_map(&mut self) {
        self.0.push(BREAK);
    }
    fn boolean(&mut self, value: bool) {
        self.0.push(major::SIMPLE << 5 | if value { simple::TRUE } else { simple::FALSE });
    }
    fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.head(major::UNSIGNED, value),
            // -1 is written as 0, and so on down.
            Err(_) => self.head(major::NEGATIVE, !value as u64),
        }
    }
    fn double(&mut self, value: f64) {
        self.0.push(major::SIMPLE << 5 | simple::DOUBLE);
        self.0.extend(value.to_be_bytes());
    }
    fn text(&mut self, value: &str) {
        self.head(major::TEXT, value.len() as u64);
        self.0.extend(value.as_bytes());
    }
    fn blob(&mut self, value: &[u8]) {
        self.head(major::BYTES, value.len() as u64);
        self.0.extend(value);
    }
    fn timestamp(&mut self, value: Timestamp, _: TimeFormat) {
        self.head(major::TAG, EPOCH_TAG);
        match value.as_millisecond() % 1000 {
            0 => self.integer(value.as_millisecond() / 1000),
            _ => self.double(epoch(value)),
        }
    }
}

/// The body of a refusal.
pub fn error(code: &str, fault: &Fault) -> Bytes {
    let mut out = CborWriter::default();
    out.begin(major::MAP);
    let told = [("__type", code), ("message", &fault.message)];
    let fields = fault.fields.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in told.into_iter().chain(fields) {
        out.text(name);
        out.text(value);
    }
    out.0.push(BREAK);
    out.finish()
}
