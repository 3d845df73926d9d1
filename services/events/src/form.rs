//! Names and values as a query or an HTML form has them.
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// One part of a URL, or of a form.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `a=b&c=d`.
pub fn joined<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = pairs.into_iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A URL with more in its query.
pub fn extended(url: &str, query: &str) -> String {
    match query {
        "" => url.to_owned(),
        _ => format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' }),
    }
}
