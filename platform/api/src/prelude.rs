//! What generated modules use; schema types go by `s::`, since services have shapes of the same names.
pub use std::collections::BTreeMap;

pub use kernel::schema as s;

/// Unbounded.
pub const ANY: s::Range = s::Range { min: None, max: None };

/// Text without constraints.
pub static ANY_TEXT: s::Text = s::Text { length: ANY, pattern: "", values: &[] };

/// A member, in one line of generated text.
pub const fn member(
    name: &'static str,
    wire: &'static str,
    ec2: &'static str,
    at: s::At,
    required: bool,
    sensitive: bool,
    ty: s::Type,
) -> s::Member {
    s::Member { name, wire, ec2, at, required, sensitive, ty }
}
