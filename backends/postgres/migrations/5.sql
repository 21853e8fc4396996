-- Acquires whose leases have ended: one row for each fold of the log, kept for as long as late
-- duplicates of them are recognised. Writes since the last fold have theirs in the log.
CREATE TABLE leasehold.ended (
    version bigint PRIMARY KEY,
    -- Logical time of the fold.
    now_us bigint NOT NULL,
    requests bytea NOT NULL
);
-- They are digests, and compressed already.
ALTER TABLE leasehold.ended ALTER COLUMN requests SET STORAGE EXTERNAL;
