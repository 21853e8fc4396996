-- The first schema that later builds read. A migration that was released is never changed.
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE chunks (first INTEGER PRIMARY KEY, chains BLOB NOT NULL, bodies BLOB NOT NULL);
CREATE TABLE segments (segment INTEGER PRIMARY KEY, last INTEGER NOT NULL,
    chain BLOB NOT NULL,
    wall_min INTEGER NOT NULL, wall_max INTEGER NOT NULL,
    hold_min INTEGER NOT NULL, hold_max INTEGER NOT NULL);
CREATE TABLE blocks (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE open_holds (granted_by INTEGER NOT NULL, handle BLOB NOT NULL,
    lock INTEGER NOT NULL, wall INTEGER NOT NULL,
    PRIMARY KEY (granted_by, handle, lock)) WITHOUT ROWID;

-- "LSLD", so that other databases are not taken for a ledger.
PRAGMA application_id = 1280527428;
