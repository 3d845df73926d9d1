//! Every statement. All but the `PRAGMA`s, the savepoints and the look at `sqlite_schema` are plain enough for PostgreSQL.

pub const BEGIN: &str = "BEGIN IMMEDIATE";
pub const COMMIT: &str = "COMMIT";
pub const ROLLBACK: &str = "ROLLBACK";
pub const SAVEPOINT: &str = "SAVEPOINT batch";
pub const UNDO: &str = "ROLLBACK TO batch";
pub const RELEASE: &str = "RELEASE batch";
/// Waits for nobody.
pub const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

pub const USER_VERSION: &str = "PRAGMA user_version";
pub const HAS_OLD_VERSION: &str = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
pub const OLD_VERSION: &str = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";

pub const SEQUENCE: &str = "SELECT value FROM sequence WHERE one = 1";
pub const SET_SEQUENCE: &str = "UPDATE sequence SET value = ?1 WHERE one = 1";

pub const ROW_VERSION: &str = "SELECT version FROM record WHERE kind = ?1 AND key = ?2";
/// A row that is there. No upsert: what it answers with RETURNING goes through a table of its own each time.
pub const UPDATE: &str =
    "UPDATE record SET version = ?3, format = ?4, body = ?5 WHERE kind = ?1 AND key = ?2";
pub const INSERT: &str = "INSERT INTO record (kind, key, created, version, format, body) \
     VALUES (?1, ?2, ?3, ?3, ?4, ?5)";
pub const DELETE: &str = "DELETE FROM record WHERE kind = ?1 AND key = ?2";
pub const INDEX: &str = "INSERT INTO record_index (kind, name, value, key) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT DO NOTHING";
pub const LIST_ADD: &str = "INSERT INTO record_list (kind, parent, created) VALUES (?1, ?2, ?3)";
pub const LIST_DROP: &str = "DELETE FROM record_list WHERE kind = ?1 AND parent = ?2 \
     AND created = (SELECT created FROM record WHERE kind = ?1 AND key = ?3)";
pub const UNINDEX: &str = "DELETE FROM record_index WHERE kind = ?1 AND key = ?2";

pub const GET: &str = "SELECT key, created, version, format, body FROM record WHERE kind = ?1 AND key = ?2";
pub const LIST: &str = "SELECT key, created, version, format, body FROM record \
     WHERE kind = ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4";
pub const LIST_BACK: &str = "SELECT key, created, version, format, body FROM record \
     WHERE kind = ?1 AND key >= ?2 AND key < ?3 ORDER BY key DESC LIMIT ?4";
pub const LIST_BY_SEQ: &str = "SELECT key, created, version, format, body FROM record \
     WHERE kind = ?1 AND key >= ?2 AND key < ?3 AND created > ?4 ORDER BY created LIMIT ?5";
pub const LIST_NEWEST: &str = "SELECT key, created, version, format, body FROM record \
     WHERE kind = ?1 AND key >= ?2 AND key < ?3 AND created < ?4 ORDER BY created DESC LIMIT ?5";
pub const LISTED_BY_SEQ: &str = "SELECT r.key, r.created, r.version, r.format, r.body FROM record_list l \
     JOIN record r ON r.created = l.created \
     WHERE l.kind = ?1 AND l.parent = ?2 AND l.created > ?3 ORDER BY l.created LIMIT ?4";
pub const LISTED_NEWEST: &str = "SELECT r.key, r.created, r.version, r.format, r.body FROM record_list l \
     JOIN record r ON r.created = l.created \
     WHERE l.kind = ?1 AND l.parent = ?2 AND l.created < ?3 ORDER BY l.created DESC LIMIT ?4";
pub const COUNT: &str = "SELECT count(*) FROM record WHERE kind = ?1 AND key >= ?2 AND key < ?3";
/// A cross join, so that SQLite begins with the index, where few rows have the value; to spare itself the sorting it would
/// go through all rows of the kind.
pub const FIND: &str = "SELECT r.key, r.created, r.version, r.format, r.body FROM record_index i \
     CROSS JOIN record r WHERE r.kind = i.kind AND r.key = i.key \
     AND i.kind = ?1 AND i.name = ?2 AND i.value = ?3 AND i.key >= ?4 AND i.key < ?5 AND r.created > ?6 \
     ORDER BY r.created LIMIT ?7";

pub const STREAM: &str = "SELECT seq, epoch FROM stream WHERE kind = ?1 AND key = ?2";
/// Head and epoch of a stream, and the epoch of its lease.
pub const OWNED_STREAM: &str = "SELECT \
     coalesce((SELECT seq FROM stream WHERE kind = ?1 AND key = ?2), 0), \
     coalesce((SELECT epoch FROM stream WHERE kind = ?1 AND key = ?2), 0), \
     coalesce((SELECT epoch FROM lease WHERE kind = ?1 AND key = ?2), 0)";
pub const SET_STREAM: &str = "INSERT INTO stream (kind, key, seq, epoch) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (kind, key) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch";
pub const APPEND: &str =
    "INSERT INTO event (kind, key, seq, epoch, format, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub const EVENTS: &str = "SELECT seq, epoch, format, body FROM event \
     WHERE kind = ?1 AND key = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4";
pub const DROP_EVENTS: &str = "DELETE FROM event WHERE kind = ?1 AND key = ?2";
pub const TRIM_EVENTS: &str = "DELETE FROM event WHERE kind = ?1 AND key = ?2 AND seq <= ?3";
pub const DROP_STREAM: &str = "DELETE FROM stream WHERE kind = ?1 AND key = ?2";

pub const LEASE: &str = "SELECT owner, epoch, until FROM lease WHERE kind = ?1 AND key = ?2";
pub const LEASE_EPOCH: &str = "SELECT epoch FROM lease WHERE kind = ?1 AND key = ?2";
pub const SET_LEASE: &str = "INSERT INTO lease (kind, key, owner, epoch, until) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch, until = excluded.until";

pub const SET_TIMER: &str = "INSERT INTO timer (kind, key, at, body) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (kind, key) DO UPDATE SET at = excluded.at, body = excluded.body";
pub const CANCEL: &str = "DELETE FROM timer WHERE kind = ?1 AND key = ?2";
pub const DUE: &str =
    "SELECT key, at, body FROM timer WHERE kind = ?1 AND at <= ?2 ORDER BY at, key LIMIT ?3";
pub const NEXT_DUE: &str = "SELECT min(at) FROM timer WHERE kind = ?1";

pub const PUBLISH: &str = "INSERT INTO outbox (topic, seq, body) VALUES (?1, ?2, ?3)";
pub const MESSAGES: &str = "SELECT seq, body FROM outbox WHERE topic = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub const CURSOR: &str = "SELECT cursor FROM consumer WHERE topic = ?1 AND name = ?2";
pub const SET_CURSOR: &str = "INSERT INTO consumer (topic, name, cursor) VALUES (?1, ?2, ?3) \
     ON CONFLICT (topic, name) DO UPDATE SET cursor = excluded.cursor";
pub const TRIM: &str =
    "DELETE FROM outbox WHERE topic = ?1 AND seq <= (SELECT min(cursor) FROM consumer WHERE topic = ?1)";
