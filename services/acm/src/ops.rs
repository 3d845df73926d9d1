//! The operations.

mod export;
mod import;
mod read;
mod request;
mod tags;

use std::collections::BTreeMap;

use api::acm::Tag;

use crate::{Error, limits};

/// Adds tags, or replaces their values.
fn add_tags(tags: &mut BTreeMap<String, String>, new: Vec<Tag>) -> Result<(), Error> {
    for tag in new {
        if tag.key.starts_with("aws:") {
            return Err(Error::Parameter(format!("Tag key {} must not begin with aws:", tag.key)));
        }
        tags.insert(tag.key, tag.value.unwrap_or_default());
    }
    if tags.len() > limits::TAGS { Err(Error::Tags) } else { Ok(()) }
}
