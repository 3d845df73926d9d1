//! Domain names, ids and ARNs.
use hickory_proto::rr::Name;
use kernel::{Access, Arn, Cx};
use store::Key;

use crate::error::{Error, Result};

/// The account of a call; the service knows no regions.
pub fn scope(cx: &Cx) -> Key {
    Key::new(cx.account(), "")
}

/// An id as it came, with or without its kind in front.
pub fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// A permission on a zone.
pub fn on_zone(action: &'static str, id: &str) -> Vec<Access> {
    vec![Access::new(action, Arn::new("route53", "", "", format!("hostedzone/{}", bare(id))).to_string())]
}

/// A permission on no resource in particular.
pub fn on_all(action: &'static str) -> Vec<Access> {
    vec![Access::new(action, "*")]
}

/// A name in lower case with its trailing dot; `\052` is `*`. The edge's parser has the last word: a name that it
/// could not read would spoil a whole snapshot.
pub fn domain(given: &str) -> Result<String> {
    let wrong = || Error::Domain(given.to_owned());
    let text = given.to_ascii_lowercase().replace("\\052", "*");
    let text = text.strip_suffix('.').unwrap_or(&text);
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'/' | b'@');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    if text.len() > 253 || !text.split('.').all(label) || Name::from_ascii(text).is_err() {
        return Err(wrong());
    }
    Ok(format!("{text}."))
}

/// A name as AWS answers it.
pub fn shown(name: &str) -> String {
    name.replace('*', "\\052")
}

/// Whether a name is a zone's own or below it.
pub fn within(name: &str, zone: &str) -> bool {
    name == zone || name.strip_suffix(zone).is_some_and(|front| front.ends_with('.'))
}
