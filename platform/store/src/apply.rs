//! One batch, done on the writer's connection.
use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::batch::{Batch, Expect, Op};
use crate::tail::Published;
use crate::{Error, Key, Message, Result, sql, timer};

/// Does the batch, taking numbers from `sequence`, and adds what it publishes. On an error the caller rolls back what the
/// batch may have done. Where everything is checked `first`, as [`checked_first`] allows, a conflict leaves nothing to
/// roll back.
pub(crate) fn apply(
    db: &Connection,
    batch: &Batch,
    first: bool,
    sequence: &mut u64,
    published: &mut Vec<Published>,
) -> Result<()> {
    batch.expects.iter().try_for_each(|expect| check(db, expect))?;
    if first {
        batch.ops.iter().try_for_each(|op| allowed(db, op))?;
        return batch.ops.iter().try_for_each(|op| perform(db, op, sequence, published));
    }
    batch.ops.iter().try_for_each(|op| {
        allowed(db, op)?;
        perform(db, op, sequence, published)
    })
}

/// Whether all that can conflict in a batch can be asked before any of it is done: unless one thing that it does may
/// depend on another. A batch that conflicts has then done nothing, and none needs a savepoint, which would keep every
/// page as it was.
pub(crate) fn checked_first(batch: &Batch) -> bool {
    let mut seen = HashSet::new();
    batch.ops.iter().all(|op| match op {
        Op::Append { kind, key, .. } | Op::Truncate { kind, key, .. } => {
            seen.insert(("stream", *kind, &key.0[..]))
        }
        Op::Lease { kind, key, .. } => seen.insert(("lease", *kind, &key.0[..])),
        Op::Advance { topic, consumer, .. } => seen.insert(("cursor", *topic, consumer.as_bytes())),
        _ => true,
    })
}

fn run(db: &Connection, statement: &str, params: impl Params) -> Result<()> {
    db.prepare_cached(statement)?.execute(params)?;
    Ok(())
}

fn find<T>(
    db: &Connection,
    statement: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(db.prepare_cached(statement)?.query_row(params, read).optional()?)
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

fn check(db: &Connection, expect: &Expect) -> Result<()> {
    match expect {
        Expect::Row { kind, key, version } => {
            let found: Option<i64> = find(db, sql::ROW_VERSION, params![kind, key.0], |row| row.get(0))?;
            if found.map(unsigned) != *version {
                return conflict(kind, key);
            }
        }
        Expect::Lease { kind, key, epoch } => {
            if held(db, kind, key)?.is_none_or(|held| held != *epoch) {
                return conflict("lease", key);
            }
        }
    }
    Ok(())
}

fn held(db: &Connection, kind: &str, key: &Key) -> Result<Option<u64>> {
    let found: Option<i64> = find(db, sql::LEASE_EPOCH, params![kind, key.0], |row| row.get(0))?;
    Ok(found.map(unsigned))
}

/// Whether a thing may be done: the stream, lease or cursor must be where the batch thinks that it is.
fn allowed(db: &Connection, op: &Op) -> Result<()> {
    match op {
        Op::Append { kind, key, after, epoch, .. } => {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let head: Option<(i64, i64, i64)> = find(db, sql::OWNED_STREAM, params![kind, key.0], read)?;
            let (seq, last, lease) = head.unwrap_or_default();
            // A stale owner is one whose epoch is behind the lease, even if the new owner has appended nothing yet.
            if unsigned(seq) != *after || *epoch < unsigned(lease.max(last)) {
                return conflict("stream", key);
            }
        }
        Op::Lease { kind, key, was, .. } if held(db, kind, key)?.unwrap_or(0) != *was => {
            return conflict("lease", key);
        }
        Op::Advance { topic, consumer, from, to } => {
            let at: Option<i64> = find(db, sql::CURSOR, params![topic, consumer], |row| row.get(0))?;
            if at.map_or(0, unsigned) != *from || to < from {
                return Err(Error::Conflict(format!("cursor of {consumer} on {topic}")));
            }
        }
        _ => {}
    }
    Ok(())
}

fn perform(db: &Connection, op: &Op, sequence: &mut u64, published: &mut Vec<Published>) -> Result<()> {
    match op {
        Op::Put { .. } => put(db, op, next(sequence)),
        Op::Publish { topic, body, event } => {
            let seq = next(sequence);
            let message = Message { seq: unsigned(seq), event: event.clone() };
            published.push(Published { topic, message, bytes: body.len() });
            run(db, sql::PUBLISH, params![topic, seq, body])
        }
        Op::Delete { kind, key, indexed, listed } => {
            for parent in listed.iter().filter_map(|parts| key.head(*parts)) {
                run(db, sql::LIST_DROP, params![kind, parent, key.0])?;
            }
            run(db, sql::DELETE, params![kind, key.0])?;
            if *indexed { run(db, sql::UNINDEX, params![kind, key.0]) } else { Ok(()) }
        }
        Op::Append { .. } => append(db, op),
        Op::Truncate { kind, key, through: Some(through) } => {
            run(db, sql::TRIM_EVENTS, params![kind, key.0, signed(*through)])
        }
        Op::Truncate { kind, key, through: None } => {
            run(db, sql::DROP_EVENTS, params![kind, key.0])?;
            run(db, sql::DROP_STREAM, params![kind, key.0])
        }
        Op::Lease { kind, key, owner, epoch, until, .. } => {
            let until = until.as_microsecond();
            run(db, sql::SET_LEASE, params![kind, key.0, owner, signed(*epoch), until])
        }
        Op::Timer { kind, key, at, body } => {
            run(db, sql::SET_TIMER, params![kind, key.0, timer::rounded_up(*at), body])
        }
        Op::Cancel { kind, key } => run(db, sql::CANCEL, params![kind, key.0]),
        Op::Advance { topic, consumer, to, .. } => {
            run(db, sql::SET_CURSOR, params![topic, consumer, signed(*to)])?;
            run(db, sql::TRIM, params![topic])
        }
    }
}

fn put(db: &Connection, op: &Op, number: i64) -> Result<()> {
    let Op::Put { kind, key, format, body, index, listed } = op else { return Ok(()) };
    let row = params![kind, key.0, number, format, body];
    let new = db.prepare_cached(sql::UPDATE)?.execute(row)? == 0;
    if new {
        run(db, sql::INSERT, row)?;
        // A row that was there keeps the number of its creation, and its places in lists.
        for parent in listed.iter().filter_map(|parts| key.head(*parts)) {
            run(db, sql::LIST_ADD, params![kind, parent, number])?;
        }
    }
    if let Some(index) = index {
        if !new {
            run(db, sql::UNINDEX, params![kind, key.0])?;
        }
        for (name, value) in index {
            run(db, sql::INDEX, params![kind, name, value, key.0])?;
        }
    }
    Ok(())
}

fn append(db: &Connection, op: &Op) -> Result<()> {
    let Op::Append { kind, key, after, epoch, format, bodies } = op else { return Ok(()) };
    for (seq, body) in (after + 1..).zip(bodies) {
        run(db, sql::APPEND, params![kind, key.0, signed(seq), signed(*epoch), format, body])?;
    }
    let end = after + bodies.len() as u64;
    run(db, sql::SET_STREAM, params![kind, key.0, signed(end), signed(*epoch)])
}
