//! Reading tables.
use crate::apply::{signed, unsigned};
use crate::readers::text;
use crate::record::decode;
use crate::{Error, Key, Prefix, Record, Result, Row, Store, View, limits, sql};

/// From the columns key, created, version, format, body.
fn row<V: View>(columns: &rusqlite::Row<'_>) -> Result<Row<V>> {
    let key = Key(columns.get(0)?);
    let value = decode(&key, columns.get(3)?, text(columns, 4)?)?;
    Ok(Row { key, value, created: unsigned(columns.get(1)?), version: unsigned(columns.get(2)?) })
}

/// Whether the store keeps the list of this prefix.
fn listed<R: Record>(prefix: &Prefix) -> bool {
    !R::LISTED.is_empty() && prefix.depth().is_some_and(|depth| R::LISTED.contains(&depth))
}

pub(crate) fn page(limit: usize) -> i64 {
    limit.min(limits::PAGE) as i64
}

impl Store {
    /// The row with this key.
    pub async fn get<V: View>(&self, key: &Key) -> Result<Option<Row<V>>> {
        self.one(sql::GET, (V::Of::TABLE, &key.0), row).await
    }

    /// Rows in the order of their keys, after `after` (exclusive), at most `limit`.
    pub async fn list<R: Record>(
        &self,
        prefix: impl Into<Prefix>,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row<R>>> {
        let (mut start, end) = prefix.into().range();
        if let Some(after) = after {
            // One bound and no other: SQLite seeks to it, where it would scan up to a second. A NUL makes the next key.
            start = start.max([&after.0[..], &[0]].concat());
        }
        self.many(sql::LIST, (R::TABLE, start, end, page(limit)), row).await
    }

    /// Rows in the reverse order of their keys, before `before` (exclusive), at most `limit`.
    pub async fn list_back<R: Record>(
        &self,
        prefix: impl Into<Prefix>,
        before: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Row<R>>> {
        let (start, mut end) = prefix.into().range();
        if let Some(before) = before {
            end = end.min(before.0.clone());
        }
        self.many(sql::LIST_BACK, (R::TABLE, start, end, page(limit)), row).await
    }

    /// Rows as they were created, oldest first, created after sequence `after` (0: all), at most `limit`.
    pub async fn list_by_seq<R: Record>(
        &self,
        prefix: impl Into<Prefix>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Row<R>>> {
        let prefix = prefix.into();
        if listed::<R>(&prefix) {
            let params = (R::TABLE, prefix.0, signed(after), page(limit));
            return self.many(sql::LISTED_BY_SEQ, params, row).await;
        }
        let (start, end) = prefix.range();
        let params = (R::TABLE, start, end, signed(after), page(limit));
        self.many(sql::LIST_BY_SEQ, params, row).await
    }

    /// Rows as they were created, newest first, created before sequence `before` (none: all), at most `limit`.
    pub async fn list_newest<V: View>(
        &self,
        prefix: impl Into<Prefix>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Row<V>>> {
        let (prefix, table) = (prefix.into(), V::Of::TABLE);
        let before = signed(before.unwrap_or(u64::MAX));
        if listed::<V::Of>(&prefix) {
            let params = (table, prefix.0, before, page(limit));
            return self.many(sql::LISTED_NEWEST, params, row).await;
        }
        let (start, end) = prefix.range();
        self.many(sql::LIST_NEWEST, (table, start, end, before, page(limit)), row).await
    }

    /// All rows in the order of their keys; more than [`limits::ALL`] are an error. For workers and small families.
    pub async fn all<R: Record>(&self, prefix: impl Into<Prefix>) -> Result<Vec<Row<R>>> {
        let prefix = prefix.into();
        let mut all: Vec<Row<R>> = Vec::new();
        loop {
            let page = self.list(&prefix, all.last().map(|row| &row.key), limits::SHORT).await?;
            let last = page.len() < limits::SHORT;
            all.extend(page);
            if all.len() > limits::ALL {
                return Err(Error::Refused(format!("{} holds more than {} rows", R::TABLE, limits::ALL)));
            }
            if last {
                return Ok(all);
            }
        }
    }

    /// Rows whose record has this value in an index, as they were created, created after sequence `after`.
    pub async fn find<R: Record>(
        &self,
        prefix: impl Into<Prefix>,
        index: &'static str,
        value: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Row<R>>> {
        debug_assert!(R::INDEXES.contains(&index), "{} has no index {index}", R::TABLE);
        let (start, end) = prefix.into().range();
        let params = (R::TABLE, index, value, start, end, signed(after), page(limit));
        self.many(sql::FIND, params, row).await
    }

    /// How many rows there are.
    pub async fn count<R: Record>(&self, prefix: impl Into<Prefix>) -> Result<u64> {
        let (start, end) = prefix.into().range();
        let count = self.one(sql::COUNT, (R::TABLE, start, end), |row| Ok(unsigned(row.get(0)?))).await?;
        Ok(count.unwrap_or(0))
    }
}
