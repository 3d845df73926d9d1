//! One batch, done on the writer's connection inside its savepoint.
use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};

use crate::batch::{Batch, Expect, Op};
use crate::{Error, Key, Result, limits, sql, timer};

/// Does the batch, taking numbers from `sequence`. On an error the caller rolls the savepoint back.
pub(crate) async fn apply(db: &mut SqliteConnection, batch: &Batch, sequence: &mut u64) -> Result<()> {
    for expect in &batch.expects {
        check(db, expect).await?;
    }
    let mut ops = &batch.ops[..];
    while let Some(first) = ops.first() {
        let (together, rest) = ops.split_at(alike(ops));
        match first {
            Op::Put { .. } => put(db, together, sequence).await?,
            Op::Publish { .. } => publish(db, together, sequence).await?,
            _ => perform(db, first).await?,
        }
        ops = rest;
    }
    Ok(())
}

/// How many of the first operations one statement does: messages, or rows that are not the same.
fn alike(ops: &[Op]) -> usize {
    let mut rows: HashSet<(&str, &Key)> = HashSet::new();
    let together = ops.iter().take(limits::ROWS).take_while(|op| match (&ops[0], *op) {
        (Op::Put { .. }, Op::Put { kind, key, .. }) => rows.insert((*kind, key)),
        (Op::Publish { .. }, Op::Publish { .. }) => true,
        _ => false,
    });
    // Of what does not go together the first goes alone.
    together.count().max(1)
}

async fn put(db: &mut SqliteConnection, ops: &[Op], sequence: &mut u64) -> Result<()> {
    let numbered: Vec<(i64, &Op)> = ops.iter().map(|op| (next(sequence), op)).collect();
    let mut query = QueryBuilder::<Sqlite>::new(sql::PUT);
    query.push_values(&numbered, |mut row, (number, op)| {
        if let Op::Put { kind, key, format, body, .. } = op {
            row.push_bind(*kind).push_bind(key.0.as_slice()).push_bind(*number).push_bind(*number);
            row.push_bind(i64::from(*format)).push_bind(body.as_str());
        }
    });
    let query = query.push(sql::PUT_END).build_query_scalar::<i64>();
    // A row that was there keeps the number of its creation.
    let created: HashSet<i64> = query.fetch_all(&mut *db).await?.into_iter().collect();
    for (number, op) in numbered {
        let Op::Put { kind, key, index, listed, .. } = op else { continue };
        if let Some(index) = index {
            sqlx::query(sql::UNINDEX).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            for (name, value) in index {
                let insert = sqlx::query(sql::INDEX).bind(*kind).bind(*name).bind(value);
                insert.bind(&key.0).execute(&mut *db).await?;
            }
        }
        for parent in listed.iter().filter_map(|parts| key.head(*parts)).filter(|_| created.contains(&number))
        {
            let add = sqlx::query(sql::LIST_ADD).bind(*kind).bind(parent).bind(number);
            add.bind(&key.0).execute(&mut *db).await?;
        }
    }
    Ok(())
}

async fn publish(db: &mut SqliteConnection, ops: &[Op], sequence: &mut u64) -> Result<()> {
    let mut query = QueryBuilder::<Sqlite>::new(sql::PUBLISH);
    query.push_values(ops, |mut row, op| {
        if let Op::Publish { topic, body } = op {
            row.push_bind(*topic).push_bind(next(sequence)).push_bind(body.as_str());
        }
    });
    query.build().execute(db).await?;
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

async fn perform(db: &mut SqliteConnection, op: &Op) -> Result<()> {
    match op {
        // Done together, see `apply`.
        Op::Put { .. } | Op::Publish { .. } => {}
        Op::Delete { kind, key, indexed, listed } => {
            for parent in listed.iter().filter_map(|parts| key.head(*parts)) {
                let drop = sqlx::query(sql::LIST_DROP).bind(*kind).bind(parent).bind(&key.0);
                drop.execute(&mut *db).await?;
            }
            sqlx::query(sql::DELETE).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            if *indexed {
                sqlx::query(sql::UNINDEX).bind(*kind).bind(&key.0).execute(&mut *db).await?;
            }
        }
        Op::Append { kind, key, after, epoch, format, bodies } => {
            append(db, (*kind, key), *after, *epoch, *format, bodies).await?;
        }
        Op::Truncate { kind, key, through: Some(through) } => {
            let trim = sqlx::query(sql::TRIM_EVENTS).bind(*kind).bind(&key.0).bind(signed(*through));
            trim.execute(db).await?;
        }
        Op::Truncate { kind, key, through: None } => {
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
    let head = sqlx::query_as(sql::OWNED_STREAM).bind(kind).bind(&key.0);
    let (seq, last, lease): (i64, i64, i64) = head.fetch_one(&mut *db).await?;
    // A stale owner is one whose epoch is behind the lease, even if the new owner has appended nothing yet.
    if unsigned(seq) != after || epoch < unsigned(lease.max(last)) {
        return conflict("stream", key);
    }
    let numbered: Vec<(u64, &String)> = (after + 1..).zip(bodies).collect();
    for events in numbered.chunks(limits::ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(sql::APPEND);
        query.push_values(events, |mut row, (seq, body)| {
            row.push_bind(kind).push_bind(key.0.as_slice()).push_bind(signed(*seq)).push_bind(signed(epoch));
            row.push_bind(i64::from(format)).push_bind(body.as_str());
        });
        query.build().execute(&mut *db).await?;
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
