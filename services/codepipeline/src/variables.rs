//! References to variables, `#{namespace.key}`: found in text when a pipeline is declared, replaced when an action starts.
use std::borrow::Cow;

/// The namespace of what is known of the execution itself.
pub const EXECUTION: &str = "codepipeline";
/// The namespace of the pipeline's own variables.
pub const PIPELINE: &str = "variables";
/// The one key of [`EXECUTION`].
pub const EXECUTION_ID: &str = "PipelineExecutionId";

/// A reference in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Whose variable.
    pub namespace: &'a str,
    /// Which.
    pub key: &'a str,
}

/// A piece of a text.
enum Piece<'a> {
    Plain(&'a str),
    Reference(Reference<'a>),
    /// Between `#{` and `}`, but no namespace and key.
    Malformed(&'a str),
}

/// What stands between `#{` and `}` and is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Not a namespace and a key.
    #[error("'#{{{0}}}' is not a variable reference: one is a namespace and a key separated by a period")]
    Malformed(String),
    /// Nothing has set it.
    #[error("the variable '#{{{namespace}.{key}}}' has no value in this execution")]
    Unset {
        /// The namespace.
        namespace: String,
        /// The key.
        key: String,
    },
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(start) = rest.find("#{") else { return Some(Piece::Plain(std::mem::take(&mut rest))) };
        if start > 0 {
            let (plain, after) = rest.split_at(start);
            rest = after;
            return Some(Piece::Plain(plain));
        }
        // Without its end it is plain text, such as a shell's own.
        let Some(end) = rest.find('}') else { return Some(Piece::Plain(std::mem::take(&mut rest))) };
        let inner = &rest[2..end];
        rest = &rest[end + 1..];
        Some(match inner.split_once('.') {
            Some((namespace, key)) if name(namespace) && name(key) => {
                Piece::Reference(Reference { namespace, key })
            }
            _ => Piece::Malformed(inner),
        })
    })
}

fn name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'-' | b'_'))
}

/// The references of a text, in order.
pub fn references(text: &str) -> impl Iterator<Item = Result<Reference<'_>, Unresolved>> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Plain(_) => None,
        Piece::Reference(reference) => Some(Ok(reference)),
        Piece::Malformed(inner) => Some(Err(Unresolved::Malformed(inner.into()))),
    })
}

/// Whether the text's value is only known when its action starts.
pub fn is_dynamic(text: &str) -> bool {
    text.contains("#{")
}

/// The text with its references replaced. What replaces one is not read again: a value cannot refer.
pub fn resolve<'v>(
    text: &str,
    value: impl Fn(Reference<'_>) -> Option<Cow<'v, str>>,
) -> Result<String, Unresolved> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Malformed(inner) => return Err(Unresolved::Malformed(inner.into())),
            Piece::Reference(reference) => match value(reference) {
                Some(value) => out.push_str(&value),
                None => {
                    let (namespace, key) = (reference.namespace.into(), reference.key.into());
                    return Err(Unresolved::Unset { namespace, key });
                }
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let value = |r: Reference<'_>| match (r.namespace, r.key) {
            ("src", "CommitId") => Some("abc".into()),
            ("src", "Message") => Some("#{src.CommitId} }".into()),
            _ => None,
        };
        let got = resolve(text, value).unwrap_or_else(|error| format!("! {error}"));
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn resolves() {
        check("plain", "plain");
        check("a #{src.CommitId}-#{src.CommitId}", "a abc-abc");
        check("ünï #{src.CommitId}✓", "ünï abc✓");
        check("#{src.Message}", "#{src.CommitId} }");
        check("${src.CommitId} #x {datetime}", "${src.CommitId} #x {datetime}");
        check("open #{src.CommitId", "open #{src.CommitId");
        check("#{src.commitid}", "! the variable '#{src.commitid}' has no value in this execution");
        let malformed = "is not a variable reference: one is a namespace and a key separated by a period";
        check("#{CommitId}", &format!("! '#{{CommitId}}' {malformed}"));
        check("#{a.b.c}", &format!("! '#{{a.b.c}}' {malformed}"));
        check("#{}", &format!("! '#{{}}' {malformed}"));
    }
}
