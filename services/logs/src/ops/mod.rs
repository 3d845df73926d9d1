//! The operations, by family.
mod filter;
mod get;
mod group;
mod put;
mod stream;
mod tags;

pub(crate) use put::chunk;
use store::{Key, Row};

use crate::Logs;
use crate::error::Error;
use crate::records::{Group, Stream};

impl Logs {
    pub(crate) async fn group(&self, scope: &Key, name: &str) -> Result<Row<Group>, Error> {
        self.store.get(&scope.clone().text(name)).await?.ok_or(Error::NoGroup)
    }

    pub(crate) async fn stream(&self, scope: &Key, group: &Group, name: &str) -> Result<Row<Stream>, Error> {
        self.store.get(&scope.clone().text(&group.id).text(name)).await?.ok_or(Error::NoStream)
    }
}

/// A page size within the model's bounds.
fn limit(asked: Option<i32>, most: usize) -> usize {
    asked.and_then(|asked| usize::try_from(asked).ok()).unwrap_or(most).clamp(1, most)
}
