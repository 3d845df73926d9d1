-- What is only ever appended lies in the order in which it was: all of a commit's in the same few pages, where streams
-- had theirs in a page each, in the middle of a tree.
CREATE TABLE row_of_event (
    number INTEGER PRIMARY KEY, -- in the order in which they were appended
    kind   TEXT    NOT NULL,
    key    BLOB    NOT NULL,
    seq    INTEGER NOT NULL,
    epoch  INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body   TEXT    NOT NULL
);
INSERT INTO row_of_event (kind, key, seq, epoch, format, body)
    SELECT kind, key, seq, epoch, format, body FROM event ORDER BY kind, key, seq;
DROP TABLE event;
ALTER TABLE row_of_event RENAME TO event;
CREATE UNIQUE INDEX event_key ON event (kind, key, seq);

CREATE TABLE row_of_outbox (
    seq   INTEGER PRIMARY KEY, -- the store's sequence
    topic TEXT    NOT NULL,
    body  TEXT    NOT NULL
);
INSERT INTO row_of_outbox (seq, topic, body) SELECT seq, topic, body FROM outbox ORDER BY seq;
DROP TABLE outbox;
ALTER TABLE row_of_outbox RENAME TO outbox;

-- The runs of an execution are few: its list is no seek worth a page of every commit. Those of rules are listed by
-- pipeline from now on, as those of actions.
DELETE FROM record_list WHERE kind = 'codepipeline.action'
    AND length(parent) = (SELECT length(key) - 38 FROM record WHERE record.created = record_list.created);
INSERT INTO record_list (kind, parent, created)
    SELECT kind, substr(key, 1, length(key) - 76), created FROM record WHERE kind = 'codepipeline.rule';

-- The number of the last step is SQLite's user_version now. A Longshore that looks here begins with the first step, and
-- refuses a folder where that is done.
DROP TABLE IF EXISTS _sqlx_migrations;
