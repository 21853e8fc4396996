-- The first schema. Migrations only go forward; one that was released is never changed.

-- A clock that every gateway of this database can read. It may step; see time.rs.
CREATE FUNCTION leasehold.clock_us() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- The timeline that this server writes. It grows with each promotion. Fails on a standby.
CREATE FUNCTION leasehold.timeline() RETURNS integer LANGUAGE sql VOLATILE AS
$$ SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer $$;

-- One row. Every write moves it on from the version that it knows, which orders all writes.
CREATE TABLE leasehold.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL,
    -- Logical time of the last write, and the server's clock when it was made.
    now_us bigint NOT NULL,
    clock_us bigint NOT NULL,
    -- The last event, and the documents' revision.
    newest bigint NOT NULL,
    documents bigint NOT NULL,
    -- The cluster and timeline that the last write was made on.
    system bigint NOT NULL,
    timeline integer NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
INSERT INTO leasehold.store (version, now_us, clock_us, newest, documents, system, timeline)
SELECT 0, 0, leasehold.clock_us(), 0, 0, system_identifier, leasehold.timeline()
FROM pg_control_system();

-- One row for each write: the records that it left behind, and its events. Other gateways follow
-- by it; the ledger reads the events. A row goes once both are done with it.
CREATE TABLE leasehold.log (
    version bigint PRIMARY KEY,
    previous bigint NOT NULL,
    now_us bigint NOT NULL,
    newest bigint NOT NULL,
    documents bigint NOT NULL,
    records bytea NOT NULL,
    events bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
-- They are compressed already.
ALTER TABLE leasehold.log
    ALTER COLUMN records SET STORAGE EXTERNAL, ALTER COLUMN events SET STORAGE EXTERNAL;
CREATE INDEX log_newest ON leasehold.log (newest, version);

-- One row for each lock, as of the version to which the log was folded.
CREATE TABLE leasehold.locks (
    namespace text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (namespace, name)
) WITH (fillfactor = 70);
CREATE TABLE leasehold.folded (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
);
INSERT INTO leasehold.folded (version) VALUES (0);

CREATE TABLE leasehold.documents (
    collection text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (collection, id)
);
CREATE TABLE leasehold.blobs (
    digest bytea PRIMARY KEY,
    body bytea NOT NULL
);

-- Who reads all events, and up to which each has them durably. Events are kept for the slowest.
CREATE TABLE leasehold.consumers (
    name text PRIMARY KEY,
    trimmed bigint NOT NULL
);
