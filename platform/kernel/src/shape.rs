//! Values that cross the wire: a shape is a plain struct that reads itself from a [`Reader`] and writes itself to a
//! [`Writer`], both led by its schema. A protocol is one of each.
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::schema::{List, Map, Member, Structure, TimeFormat, Type};
use crate::{Fault, Timestamp};

/// One value as a protocol received it: a view of a decoded tree, readable any number of times.
/// A value of the wrong kind is a `SerializationException`.
pub trait Reader {
    /// Explicitly null (absent members are simply not visited).
    fn is_null(&self) -> bool {
        false
    }
    /// Visits the members that are present and known; unknown members are ignored, as AWS does.
    fn structure(
        &self,
        schema: &'static Structure,
        each: &mut dyn FnMut(usize, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault>;
    /// Visits the items in order.
    fn list(
        &self,
        schema: &'static List,
        each: &mut dyn FnMut(&dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault>;
    /// Visits the entries in the order sent.
    fn map(
        &self,
        schema: &'static Map,
        each: &mut dyn FnMut(&str, &dyn Reader) -> Result<(), Fault>,
    ) -> Result<(), Fault>;
    /// True or false.
    fn boolean(&self) -> Result<bool, Fault>;
    /// A whole number; the caller narrows it.
    fn integer(&self) -> Result<i64, Fault>;
    /// A number.
    fn double(&self) -> Result<f64, Fault>;
    /// Text.
    fn text(&self) -> Result<String, Fault>;
    /// Bytes.
    fn blob(&self) -> Result<Bytes, Fault>;
    /// An instant.
    fn timestamp(&self, format: TimeFormat) -> Result<Timestamp, Fault>;
}

/// Receives a value, event by event, and encodes it.
pub trait Writer {
    /// A structure begins.
    fn begin_structure(&mut self, schema: &'static Structure);
    /// The next value belongs to this member.
    fn member(&mut self, member: &'static Member);
    /// The structure ends.
    fn end_structure(&mut self);
    /// A list begins.
    fn begin_list(&mut self, schema: &'static List);
    /// The list ends.
    fn end_list(&mut self);
    /// A map begins.
    fn begin_map(&mut self, schema: &'static Map);
    /// The next value belongs to this key.
    fn key(&mut self, key: &str);
    /// The map ends.
    fn end_map(&mut self);
    /// True or false.
    fn boolean(&mut self, value: bool);
    /// A whole number.
    fn integer(&mut self, value: i64);
    /// A number.
    fn double(&mut self, value: f64);
    /// Text.
    fn text(&mut self, value: &str);
    /// Bytes.
    fn blob(&mut self, value: &[u8]);
    /// An instant.
    fn timestamp(&mut self, value: Timestamp, format: TimeFormat);
}

/// A structure of the API.
pub trait Shape: Clone + Default + fmt::Debug + Send + Sync + 'static {
    /// Its schema.
    const SCHEMA: &'static Structure;
    /// Takes the member of this index of the schema.
    fn read_member(&mut self, index: usize, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault>;
    /// Writes the members that are present.
    fn write_members(&self, writer: &mut dyn Writer);

    /// Reads the structure. Constraints are not checked here: see [`crate::check`].
    fn read(reader: &dyn Reader) -> Result<Self, Fault> {
        let mut shape = Self::default();
        read_members(reader, Self::SCHEMA, &mut |index, value, ty| shape.read_member(index, value, ty))?;
        Ok(shape)
    }

    /// Writes the structure.
    fn write(&self, writer: &mut dyn Writer) {
        writer.begin_structure(Self::SCHEMA);
        self.write_members(writer);
        writer.end_structure();
    }
}

/// A value that can be a member of a shape. It is read where it will stay: there are thousands of members, and code to
/// move each there was 1.4 MB of the program.
pub trait Field: Default {
    /// Reads it into its place. After a failure the place holds no value of meaning.
    fn fill(&mut self, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault>;
    /// Writes it.
    fn write(&self, writer: &mut dyn Writer, ty: &'static Type);
    /// Not there at all: its member is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// What reads the member of this index, of this type.
pub type ReadMember<'a> = &'a mut dyn FnMut(usize, &dyn Reader, &'static Type) -> Result<(), Fault>;

/// Reads the members that are not null. Called by generated code.
pub fn read_members(
    reader: &dyn Reader,
    schema: &'static Structure,
    read: ReadMember<'_>,
) -> Result<(), Fault> {
    reader.structure(schema, &mut |index, value| {
        if value.is_null() { Ok(()) } else { read(index, value, &schema.members[index].ty) }
    })
}

/// Writes one member, unless it is absent. Called by generated code.
pub fn put<T: Field>(writer: &mut dyn Writer, member: &'static Member, value: &T) {
    if !value.is_absent() {
        writer.member(member);
        value.write(writer, &member.ty);
    }
}

/// Bytes of a shape; cheap to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<T: Shape> Field for Box<T> {
    fn fill(&mut self, reader: &dyn Reader, _: &'static Type) -> Result<(), Fault> {
        **self = T::read(reader)?;
        Ok(())
    }
    fn write(&self, writer: &mut dyn Writer, _: &'static Type) {
        Shape::write(&**self, writer);
    }
}

impl<T: Field> Field for Option<T> {
    fn fill(&mut self, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault> {
        self.insert(T::default()).fill(reader, ty)
    }
    fn write(&self, writer: &mut dyn Writer, ty: &'static Type) {
        if let Some(value) = self {
            value.write(writer, ty);
        }
    }
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Field> Field for Vec<T> {
    fn fill(&mut self, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault> {
        let Type::List(list) = ty else { return Err(mismatch("list")) };
        self.clear();
        reader.list(list, &mut |item| {
            let mut value = T::default();
            value.fill(item, &list.of)?;
            self.push(value);
            Ok(())
        })
    }
    fn write(&self, writer: &mut dyn Writer, ty: &'static Type) {
        if let Type::List(list) = ty {
            writer.begin_list(list);
            self.iter().for_each(|item| item.write(writer, &list.of));
            writer.end_list();
        }
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn fill(&mut self, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault> {
        let Type::Map(map) = ty else { return Err(mismatch("map")) };
        self.clear();
        reader.map(map, &mut |key, entry| {
            let mut value = T::default();
            value.fill(entry, &map.of)?;
            self.insert(key.to_owned(), value);
            Ok(())
        })
    }
    fn write(&self, writer: &mut dyn Writer, ty: &'static Type) {
        if let Type::Map(map) = ty {
            writer.begin_map(map);
            for (key, value) in self {
                writer.key(key);
                value.write(writer, &map.of);
            }
            writer.end_map();
        }
    }
}

/// A schema and a struct that do not agree: the generator's mistake, never the caller's.
fn mismatch(expected: &str) -> Fault {
    Fault::internal(format!("the schema does not describe a {expected}"))
}

macro_rules! scalar {
    ($($ty:ty: $read:expr, $write:expr;)*) => {$(
        impl Field for $ty {
            fn fill(&mut self, reader: &dyn Reader, ty: &'static Type) -> Result<(), Fault> {
                let read: fn(&dyn Reader, &'static Type) -> Result<$ty, Fault> = $read;
                *self = read(reader, ty)?;
                Ok(())
            }
            fn write(&self, writer: &mut dyn Writer, ty: &'static Type) {
                let write: fn(&$ty, &mut dyn Writer, &'static Type) = $write;
                write(self, writer, ty);
            }
        }
    )*};
}

scalar! {
    bool: |r, _| r.boolean(), |v, w, _| w.boolean(*v);
    i32: |r, _| narrow(r.integer()?), |v, w, _| w.integer(i64::from(*v));
    i64: |r, _| r.integer(), |v, w, _| w.integer(*v);
    f64: |r, _| r.double(), |v, w, _| w.double(*v);
    String: |r, _| r.text(), |v, w, _| w.text(v);
    Blob: |r, _| r.blob().map(Blob), |v, w, _| w.blob(&v.0);
    Timestamp: |r, ty| r.timestamp(format(ty)), |v, w, ty| w.timestamp(*v, format(ty));
}

fn format(ty: &Type) -> TimeFormat {
    match ty {
        Type::Timestamp(format) => *format,
        _ => TimeFormat::Default,
    }
}

fn narrow(value: i64) -> Result<i32, Fault> {
    i32::try_from(value).map_err(|_| serialization(format!("{value} does not fit a 32-bit integer")))
}

/// The value cannot be decoded: AWS's `SerializationException`.
pub fn serialization(message: impl Into<String>) -> Fault {
    Fault::client("SerializationException", message)
}

/// The same, with the innermost member that it happened at.
pub fn within(mut fault: Fault, member: &str) -> Fault {
    if fault.code == "SerializationException" && !fault.message.contains(" (at ") {
        fault.message = format!("{} (at {member})", fault.message);
    }
    fault
}

/// Implements [`Shape`] and a redacting `Debug` for generated structs: the fields stand in the schema's order.
#[macro_export]
macro_rules! shape {
    ($name:ident, $schema:ident $(, $index:literal $field:ident)*) => {
        impl $crate::Shape for $name {
            const SCHEMA: &'static $crate::schema::Structure = &$schema;
            #[allow(unused_variables)]
            fn read_member(&mut self, index: usize, reader: &dyn $crate::Reader, ty: &'static $crate::schema::Type) -> Result<(), $crate::Fault> {
                match index {
                    $($index => $crate::Field::fill(&mut self.$field, reader, ty),)*
                    _ => Ok(()),
                }
            }
            #[allow(unused_variables)]
            fn write_members(&self, writer: &mut dyn $crate::Writer) {
                $($crate::shape::put(writer, &$schema.members[$index], &self.$field);)*
            }
        }
        impl $crate::Field for $name {
            fn fill(&mut self, reader: &dyn $crate::Reader, _: &'static $crate::schema::Type) -> Result<(), $crate::Fault> {
                $crate::shape::read_members(reader, &$schema, &mut |index, value, ty| {
                    $crate::Shape::read_member(self, index, value, ty)
                })
            }
            fn write(&self, writer: &mut dyn $crate::Writer, _: &'static $crate::schema::Type) {
                $crate::Shape::write(self, writer);
            }
        }
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&$crate::json::redacted(self))
            }
        }
    };
}
