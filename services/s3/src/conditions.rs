//! `If-Match` and the like.
use kernel::Timestamp;

use crate::error::{Error, Result};
use crate::records::{Content, Version};

/// Which content a condition means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Any that there is: `*`.
    Any,
    /// The one with this ETag, without quotes.
    Is(String),
}

impl Tag {
    fn means(&self, content: &Content) -> bool {
        match self {
            Self::Any => true,
            Self::Is(tag) => *tag == content.e_tag,
        }
    }
}

/// What must hold of an object, or else nothing is done.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// `If-Match`.
    pub matches: Option<Tag>,
    /// `If-None-Match`.
    pub differs: Option<Tag>,
    /// `If-Modified-Since`.
    pub modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// For a read; dates count in whole seconds, as HTTP's do, and only where no ETag is asked about.
    pub fn to_read(&self, version: &Version, content: &Content) -> Result<()> {
        let at = version.at.as_second();
        match (&self.matches, self.unmodified_since) {
            (Some(tag), _) if !tag.means(content) => return Err(Error::Precondition("If-Match")),
            (None, Some(since)) if at > since.as_second() => {
                return Err(Error::Precondition("If-Unmodified-Since"));
            }
            _ => {}
        }
        match (&self.differs, self.modified_since) {
            (Some(tag), _) if tag.means(content) => Err(Error::NotModified),
            (None, Some(since)) if at <= since.as_second() => Err(Error::NotModified),
            _ => Ok(()),
        }
    }

    /// For a copy's source: what a read calls unmodified is a failed condition too.
    pub fn to_copy(&self, version: &Version, content: &Content) -> Result<()> {
        self.to_read(version, content).map_err(|error| match error {
            Error::NotModified => Error::Precondition("x-amz-copy-source-if"),
            other => other,
        })
    }

    /// For a write over what is there now.
    pub fn to_write(&self, key: &str, now: Option<&Content>) -> Result<()> {
        match (&self.matches, now) {
            (Some(_), None) => return Err(Error::NoSuchKey { key: key.to_owned(), marker: None }),
            (Some(tag), Some(content)) if !tag.means(content) => return Err(Error::Precondition("If-Match")),
            _ => {}
        }
        match (&self.differs, now) {
            (Some(Tag::Is(_)), _) => {
                let message = "If-None-Match of a write takes * alone: another ETag is not served.";
                Err(Error::NotImplemented(message.into()))
            }
            (Some(Tag::Any), Some(_)) => Err(Error::Precondition("If-None-Match")),
            _ => Ok(()),
        }
    }
}
