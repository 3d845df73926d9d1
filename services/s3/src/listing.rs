//! Lists of keys and versions: by prefix, rolled up at a delimiter, a page at a time.
use store::{Key, Row};

use crate::error::{Error, Result};
use crate::records::{Bucket, Version};
use crate::{S3, limits};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Keys that begin with it.
    pub prefix: String,
    /// Keys are rolled up at its first place behind the prefix.
    pub delimiter: Option<String>,
    /// What the page begins behind: a key, or a common prefix.
    pub after: Option<String>,
    /// A version of the key `after`, behind which the page begins.
    pub after_version: Option<String>,
    /// Entries of the page at most.
    pub max: usize,
    /// All versions and delete markers, not the newest contents alone.
    pub versions: bool,
}

/// An entry of a list.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A version, and whether it is the newest of its key.
    Version(Box<Version>, bool),
    /// Keys that are alike up to a delimiter.
    Prefix(String),
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Its entries, by key.
    pub entries: Vec<Entry>,
    /// More follow.
    pub truncated: bool,
}

impl Page {
    /// What the next page begins behind: a key or common prefix, and a version's id where the last entry is one.
    pub fn next(&self) -> Option<(String, Option<String>)> {
        let last = self.entries.last().filter(|_| self.truncated)?;
        Some(match last {
            Entry::Version(version, _) => (version.key.clone(), Some(version.name().to_owned())),
            Entry::Prefix(prefix) => (prefix.clone(), None),
        })
    }
}

/// One walk over a bucket's rows.
struct Walk<'a> {
    ask: &'a Ask,
    /// The key of the row before.
    last: Option<String>,
    page: Page,
}

/// What a row does to the walk.
enum Step {
    Go,
    /// Nothing that begins with this is of interest any more.
    Skip(String),
    Full,
}

impl S3 {
    /// A page of a bucket's objects.
    pub(crate) async fn walk(&self, bucket: &Bucket, ask: &Ask) -> Result<Page> {
        let objects = bucket.objects();
        let prefix = objects.starting(&ask.prefix);
        let mut after = self.start(bucket, ask).await?;
        let last = ask.after.clone().filter(|_| ask.after_version.is_some());
        let mut walk = Walk { ask, last, page: Page::default() };
        if ask.max == 0 {
            return Ok(walk.page);
        }
        loop {
            let rows = self.store.list::<Version>(&prefix, after.as_ref(), limits::PAGE).await?;
            let (count, mut skipped) = (rows.len(), false);
            for row in rows {
                let key = row.key.clone();
                match walk.step(row) {
                    Step::Go => after = Some(key),
                    Step::Skip(prefix) => {
                        after = Some(behind(&objects, &prefix));
                        skipped = true;
                        break;
                    }
                    Step::Full => return Ok(walk.page),
                }
            }
            if count < limits::PAGE && !skipped {
                return Ok(walk.page);
            }
        }
    }

    async fn start(&self, bucket: &Bucket, ask: &Ask) -> Result<Option<Key>> {
        let Some(key) = ask.after.as_deref().filter(|key| !key.is_empty()) else { return Ok(None) };
        if let Some(id) = &ask.after_version {
            let row = self.version(bucket, key, id).await?;
            let row = row.ok_or_else(|| Error::Argument("Invalid version id specified".into()))?;
            return Ok(Some(row.key));
        }
        Ok(Some(match &ask.delimiter {
            // The page before ended with this common prefix.
            Some(delimiter) if key.ends_with(delimiter) && key.starts_with(&ask.prefix) => {
                behind(&bucket.objects(), key)
            }
            _ => bucket.objects().text(key).number(u64::MAX),
        }))
    }
}

impl Walk<'_> {
    fn step(&mut self, row: Row<Version>) -> Step {
        let version = row.value;
        let newest = self.last.as_deref() != Some(&version.key);
        if newest {
            self.last = Some(version.key.clone());
        }
        if !self.ask.versions && (!newest || version.content.is_none()) {
            return Step::Go;
        }
        let full = self.page.entries.len() == self.ask.max;
        let rolled = self.ask.delimiter.as_deref().and_then(|delimiter| {
            let start = self.ask.prefix.len();
            let found = version.key.get(start..)?.find(delimiter)?;
            Some(version.key[..start + found + delimiter.len()].to_owned())
        });
        if full {
            self.page.truncated = true;
            return Step::Full;
        }
        match rolled {
            Some(prefix) => {
                self.page.entries.push(Entry::Prefix(prefix.clone()));
                Step::Skip(prefix)
            }
            None => {
                self.page.entries.push(Entry::Version(Box::new(version), newest));
                Step::Go
            }
        }
    }
}

/// Behind every key that begins with a prefix: no UTF-8 sorts behind the last character.
fn behind(objects: &Key, prefix: &str) -> Key {
    objects.clone().text(format!("{prefix}{}", char::MAX.to_string().repeat(256)))
}
