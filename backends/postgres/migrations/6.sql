-- The identity of the store's history: random, drawn here and when an operator starts a new history.
-- A gateway compares it with what its ledger and its data directory recorded.
CREATE TABLE leasehold.history (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id bytea NOT NULL CHECK (length(id) = 16)
);
INSERT INTO leasehold.history (id) VALUES (uuid_send(gen_random_uuid()));

-- Where the consumer's ledger was at its last trim: an event, and the hash chain after it. Beside
-- `trimmed`, which an older build moves on alone.
ALTER TABLE leasehold.consumers
    ADD COLUMN ledger_cursor bigint,
    ADD COLUMN ledger_chain bytea CHECK (length(ledger_chain) = 32);
