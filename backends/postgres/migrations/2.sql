-- The ledger: its rows as the gateways' own ledgers make them, canonical bytes and hash chain, some
-- hundred in a row. A gateway that starts with an empty folder has all of it from here.

-- Where it ends. Who appends names the end that it knows, so one at a time does.
CREATE TABLE leasehold.ledger_end (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    cursor bigint NOT NULL,
    chain bytea NOT NULL CHECK (length(chain) = 32)
);
INSERT INTO leasehold.ledger_end (cursor, chain) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE TABLE leasehold.ledger (
    first bigint NOT NULL,
    last bigint PRIMARY KEY CHECK (last >= first),
    -- The chain after the last event, as it is in the packed rows, too.
    chain bytea NOT NULL,
    rows bytea NOT NULL
);
-- They are compressed already.
ALTER TABLE leasehold.ledger ALTER COLUMN rows SET STORAGE EXTERNAL;
