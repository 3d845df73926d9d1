-- Lists by creation that are seeks: a row for every prefix that a record's LISTED names (see record.rs).
CREATE TABLE record_list (
    kind    TEXT    NOT NULL,
    parent  BLOB    NOT NULL, -- the first parts of the key
    created INTEGER NOT NULL,
    key     BLOB    NOT NULL,
    PRIMARY KEY (kind, parent, created)
) WITHOUT ROWID;

-- What was written before: a last part that is a UUID takes 38 bytes.
INSERT INTO record_list (kind, parent, created, key)
    SELECT kind, substr(key, 1, length(key) - 38), created, key FROM record
    WHERE kind IN ('codepipeline.execution', 'codepipeline.action');
INSERT INTO record_list (kind, parent, created, key)
    SELECT kind, substr(key, 1, length(key) - 76), created, key FROM record
    WHERE kind = 'codepipeline.action';
