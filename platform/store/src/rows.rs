//! Reading tables.
use crate::apply::{signed, unsigned};
use crate::record::decode;
use crate::{Error, Key, Prefix, Record, Result, Row, Store, View, limits, sql};

type Columns = (Vec<u8>, i64, i64, i64, String);

fn row<V: View>((key, created, version, format, body): Columns) -> Result<Row<V>> {
    let key = Key(key);
    let value = decode(&key, u32::try_from(format).unwrap_or(u32::MAX), &body)?;
    Ok(Row { key, value, created: unsigned(created), version: unsigned(version) })
}

fn rows<V: View>(columns: Vec<Columns>) -> Result<Vec<Row<V>>> {
    columns.into_iter().map(row).collect()
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
        let query = sqlx::query_as(sql::GET).bind(V::Of::TABLE).bind(&key.0);
        let found: Option<Columns> = query.fetch_optional(self.reader()?).await?;
        found.map(row).transpose()
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
        let query = sqlx::query_as(sql::LIST).bind(R::TABLE).bind(start).bind(end);
        rows(query.bind(page(limit)).fetch_all(self.reader()?).await?)
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
        let query = sqlx::query_as(sql::LIST_BACK).bind(R::TABLE).bind(start).bind(end);
        rows(query.bind(page(limit)).fetch_all(self.reader()?).await?)
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
            let query = sqlx::query_as(sql::LISTED_BY_SEQ).bind(R::TABLE).bind(prefix.0).bind(signed(after));
            return rows(query.bind(page(limit)).fetch_all(self.reader()?).await?);
        }
        let (start, end) = prefix.range();
        let query = sqlx::query_as(sql::LIST_BY_SEQ).bind(R::TABLE).bind(start).bind(end).bind(signed(after));
        rows(query.bind(page(limit)).fetch_all(self.reader()?).await?)
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
            let query = sqlx::query_as(sql::LISTED_NEWEST).bind(table).bind(prefix.0).bind(before);
            return rows(query.bind(page(limit)).fetch_all(self.reader()?).await?);
        }
        let (start, end) = prefix.range();
        let query = sqlx::query_as(sql::LIST_NEWEST).bind(table).bind(start).bind(end).bind(before);
        rows(query.bind(page(limit)).fetch_all(self.reader()?).await?)
    }

    /// All rows in the order of their keys; more than [`limits::ALL`] are an error. For workers and small families.
    pub async fn all<R: Record>(&self, prefix: impl Into<Prefix>) -> Result<Vec<Row<R>>> {
        let prefix = prefix.into();
        let mut all: Vec<Row<R>> = Vec::new();
        loop {
            let page = self.list(&prefix, all.last().map(|row| &row.key), limits::PAGE).await?;
            let last = page.len() < limits::PAGE;
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
        let query = sqlx::query_as(sql::FIND).bind(R::TABLE).bind(index).bind(value).bind(start).bind(end);
        rows(query.bind(signed(after)).bind(page(limit)).fetch_all(self.reader()?).await?)
    }

    /// How many rows there are.
    pub async fn count<R: Record>(&self, prefix: impl Into<Prefix>) -> Result<u64> {
        let (start, end) = prefix.into().range();
        let query = sqlx::query_scalar(sql::COUNT).bind(R::TABLE).bind(start).bind(end);
        Ok(unsigned(query.fetch_one(self.reader()?).await?))
    }
}
