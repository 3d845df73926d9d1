//! One batch, done on the writer's connection inside its savepoint.
use sqlx::sqlite::SqliteConnection;

use crate::batch::{Batch, Expect, Op};
use crate::{Error, Key, Result, sql, timer};

/// Does the batch, taking numbers from `sequence`. On an error the caller rolls the savepoint back.
pub(crate) async fn apply(db: &mut SqliteConnection, batch: &Batch, sequence: &mut u64) -> Result<()> {
    for expect in &batch.expects {
        check(db, expect).await?;
    }
    for op in &batch.ops {
        perform(db, op, sequence).await?;
    }
    Ok(())
}

fn next(sequence: &mut u64) -> i64 {
    *sequence += 1;
    signed(*sequence)
}

/// SQLite's integers are signed; sequences never come near the sign.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn conflict<T>(what: &str, key: &Key) -> Result<T> {
    Err(Error::Conflict(format!("{what} {key:?}")))
}

async fn check(db: &mut SqliteConnection, expect: &Expect) -> Result<()> {
    match expect {
        Expect::Row { kind, key, version } => {
            let found: Option<(i64, i64)> =
                sqlx::query_as(sql::ROW_VERSION).bind(*kind).bind(&key.0).fetch_optional(db).await?;
            if found.map(|(version, _)| unsigned(version)) != *version {
                return conflict(kind, key);
            }
        }
        Expect::Lease { kind, key, epoch } => {
            if held(db, kind, key).await?.is_none_or(|held| held != *epoch) {
                return conflict("lease", key);
            }
        }
    }
    Ok(())
}

async fn held(db: &mut SqliteConnection, kind: &str, key: &Key) -> Result<Option<u64>> {
    let found: Option<(String, i64, i64)> =
        sqlx::query_as(sql::LEASE).bind(kind).bind(&key.0).fetch_optional(db).await?;
    Ok(found.map(|(_, epoch, _)| unsigned(epoch)))
}

async fn perform(db: &mut SqliteConnection, op: &Op, sequence: &mut u64) -> Result<()> {
    match op {
        Op::Put { kind, key, format, body, index } => {
            let put = sqlx::query(sql::PUT).bind(*kind).bind(&key.0).bind(next(sequence));
            put.bind(i64::from(*format)).bind(body).execute(&mut *db).await?;
            if let Some(index) = index {
                sqlx::query(sql::UNINDEX).bind(*kind).bind(&key.0).execute(&mut *db).await?;
                for (name, value) in index {
                    let insert = sqlx::query(sql::INDEX).bind(*kind).bind(*name).bind(value);
                    insert.bind(&key.0).execute(&mut *db).await?;
                }
            }
        }
        Op::Delete { kind, key, indexed } => {
            sqlx::query(sql::DELETE).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            if *indexed {
                sqlx::query(sql::UNINDEX).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            }
        }
        Op::Append { kind, key, after, epoch, format, bodies } => {
            append(db, (*kind, key), *after, *epoch, *format, bodies).await?;
        }
        Op::Truncate { kind, key } => {
            for statement in [sql::DROP_EVENTS, sql::DROP_STREAM] {
                sqlx::query(statement).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            }
        }
        Op::Lease { kind, key, was, owner, epoch, until } => {
            if held(db, kind, key).await?.unwrap_or(0) != *was {
                return conflict("lease", key);
            }
            let set = sqlx::query(sql::SET_LEASE).bind(*kind).bind(&key.0).bind(owner);
            set.bind(signed(*epoch)).bind(until.as_microsecond()).execute(db).await?;
        }
        Op::Timer { kind, key, at, body } => {
            let set = sqlx::query(sql::SET_TIMER).bind(*kind).bind(&key.0).bind(timer::rounded_up(*at));
            set.bind(body).execute(db).await?;
        }
        Op::Cancel { kind, key } => {
            sqlx::query(sql::CANCEL).bind(*kind).bind(&key.0).execute(db).await?;
        }
        Op::Publish { topic, body } => {
            sqlx::query(sql::PUBLISH).bind(*topic).bind(next(sequence)).bind(body).execute(db).await?;
        }
        Op::Advance { topic, consumer, from, to } => advance(db, topic, consumer, *from, *to).await?,
    }
    Ok(())
}

async fn append(
    db: &mut SqliteConnection,
    (kind, key): (&'static str, &Key),
    after: u64,
    epoch: u64,
    format: u32,
    bodies: &[String],
) -> Result<()> {
    let head: Option<(i64, i64)> =
        sqlx::query_as(sql::STREAM).bind(kind).bind(&key.0).fetch_optional(&mut *db).await?;
    let (seq, last) = head.map_or((0, 0), |(seq, epoch)| (unsigned(seq), unsigned(epoch)));
    // A stale owner is one whose epoch is behind the lease, even if the new owner has appended nothing yet.
    let owner = held(db, kind, key).await?.unwrap_or(0).max(last);
    if seq != after || epoch < owner {
        return conflict("stream", key);
    }
    for (seq, body) in (after + 1..).zip(bodies) {
        let insert = sqlx::query(sql::APPEND).bind(kind).bind(&key.0).bind(signed(seq));
        insert.bind(signed(epoch)).bind(i64::from(format)).bind(body).execute(&mut *db).await?;
    }
    let end = after + bodies.len() as u64;
    let set = sqlx::query(sql::SET_STREAM).bind(kind).bind(&key.0).bind(signed(end));
    set.bind(signed(epoch)).execute(db).await?;
    Ok(())
}

async fn advance(db: &mut SqliteConnection, topic: &str, consumer: &str, from: u64, to: u64) -> Result<()> {
    let at: Option<i64> =
        sqlx::query_scalar(sql::CURSOR).bind(topic).bind(consumer).fetch_optional(&mut *db).await?;
    if at.map_or(0, unsigned) != from || to < from {
        return Err(Error::Conflict(format!("cursor of {consumer} on {topic}")));
    }
    sqlx::query(sql::SET_CURSOR).bind(topic).bind(consumer).bind(signed(to)).execute(&mut *db).await?;
    sqlx::query(sql::TRIM).bind(topic).execute(db).await?;
    Ok(())
}
