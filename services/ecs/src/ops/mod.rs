//! What is served, a file for each family.
mod cluster;
mod definition;
mod deployment;
mod instance;
mod service;
mod setting;
mod start_task;
mod tag;
mod task;

use api::ecs::{Failure, Tag};
use store::PageToken;

use crate::error::{Result, invalid};
use crate::limits;
use crate::records::Tags;

pub(crate) use task::Order;

/// Tags as they are given.
pub(crate) fn tags_in(given: Option<&Vec<Tag>>) -> Result<Tags> {
    let mut tags = Tags::new();
    for tag in given.into_iter().flatten() {
        let Some(key) = tag.key.clone().filter(|key| !key.is_empty() && key.len() <= 128) else {
            return invalid("Tag keys must have between 1 and 128 characters.");
        };
        if key.to_ascii_lowercase().starts_with("aws:") {
            return invalid(format!("Tag key '{key}' begins with aws:, which is reserved."));
        }
        if tags.insert(key.clone(), tag.value.clone().unwrap_or_default()).is_some() {
            return invalid(format!("Tag key '{key}' is given twice."));
        }
    }
    if tags.len() > limits::TAGS {
        return invalid(format!("At most {} tags can be given.", limits::TAGS));
    }
    Ok(tags)
}

/// Tags as they are told.
pub(crate) fn tags_out(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// Whether `include` asks for tags.
fn include_tags(include: Option<&Vec<String>>) -> bool {
    include.into_iter().flatten().any(|what| what == "TAGS")
}

/// What was asked for and is not there; waiters depend on the word.
fn missing(arn: String) -> Failure {
    Failure { arn: Some(arn), reason: Some("MISSING".into()), detail: None }
}

/// A page of names, and the token of the next.
fn page(
    list: &str,
    all: Vec<String>,
    most: Option<i32>,
    token: Option<&str>,
) -> Result<(Vec<String>, Option<String>)> {
    let most = most.unwrap_or(limits::PAGE);
    if !(1..=limits::PAGE).contains(&most) {
        return invalid(format!("maxResults must be between 1 and {}.", limits::PAGE));
    }
    let after: Option<String> = PageToken::position(list, token)?;
    // The position is the last name of the page before: what was deleted since changes nothing.
    let start = match &after {
        None => 0,
        Some(name) => all.iter().position(|other| other == name).map_or(all.len(), |index| index + 1),
    };
    let most = usize::try_from(most).unwrap_or(1);
    let rest = all.len() > start + most;
    let page: Vec<String> = all.into_iter().skip(start).take(most).collect();
    let next = page.last().filter(|_| rest).map(|last| PageToken::encode(list, last.clone()));
    Ok((page, next))
}
