-- The whole of Longshore's state. Keys are order-preserving encodings (see key.rs); bodies are JSON.

-- The store's sequence: every row written, event appended and message published takes the next number.
CREATE TABLE sequence (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT INTO sequence (one, value) VALUES (1, 0);

CREATE TABLE record (
    kind    TEXT    NOT NULL,
    key     BLOB    NOT NULL,
    created INTEGER NOT NULL, -- sequence at creation: what lists order by
    version INTEGER NOT NULL, -- sequence at the last write: what expectations compare
    format  INTEGER NOT NULL, -- the record type's own version
    body    TEXT    NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE UNIQUE INDEX record_created ON record (kind, created);

CREATE TABLE record_index (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    key   BLOB NOT NULL,
    PRIMARY KEY (kind, name, value, key)
) WITHOUT ROWID;
CREATE INDEX record_index_key ON record_index (kind, key);

CREATE TABLE stream (
    kind  TEXT    NOT NULL,
    key   BLOB    NOT NULL,
    seq   INTEGER NOT NULL, -- of the last event, from 1
    epoch INTEGER NOT NULL, -- of the lease that appended it
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE event (
    kind   TEXT    NOT NULL,
    key    BLOB    NOT NULL,
    seq    INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT    NOT NULL,
    PRIMARY KEY (kind, key, seq)
) WITHOUT ROWID;

CREATE TABLE lease (
    kind  TEXT    NOT NULL,
    key   BLOB    NOT NULL,
    owner TEXT    NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL, -- microseconds since 1970
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE timer (
    kind TEXT    NOT NULL,
    key  BLOB    NOT NULL,
    at   INTEGER NOT NULL, -- microseconds since 1970
    body TEXT    NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX timer_at ON timer (kind, at);

CREATE TABLE outbox (
    topic TEXT    NOT NULL,
    seq   INTEGER NOT NULL,
    body  TEXT    NOT NULL,
    PRIMARY KEY (topic, seq)
) WITHOUT ROWID;

CREATE TABLE consumer (
    topic  TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    cursor INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) WITHOUT ROWID;
