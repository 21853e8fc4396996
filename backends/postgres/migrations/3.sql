-- A write in one call: its statements keep their plans in the server process, so that a
-- transaction costs no parsing and planning, with or without a pooler between.
--
-- Moves the store on from the previous to the next version and keeps what was written, if the store
-- is still where the writer believes it to be: same version, same timeline, and a standby to wait
-- for unless `unreplicated` allows to do without. Answers the clock of the server, or null if
-- nothing was written. The settings last to the end of the transaction, which may be this call.
CREATE FUNCTION leasehold.write(
    previous_version bigint, next_version bigint, next_now_us bigint, next_newest bigint,
    next_documents bigint, of_timeline integer, unreplicated boolean,
    written_records bytea, written_events bytea, lock_timeout_ms text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    clock bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true),
        set_config('lock_timeout', lock_timeout_ms, true);
    UPDATE leasehold.store SET version = next_version, now_us = next_now_us,
        newest = next_newest, documents = next_documents, clock_us = leasehold.clock_us()
    WHERE version = previous_version AND timeline = of_timeline
        AND leasehold.timeline() = of_timeline
        AND (unreplicated OR current_setting('synchronous_standby_names') <> '')
    RETURNING clock_us INTO clock;
    IF FOUND THEN
        INSERT INTO leasehold.log
            (version, previous, now_us, newest, documents, records, events)
        VALUES (next_version, previous_version, next_now_us, next_newest, next_documents,
            written_records, written_events);
    END IF;
    RETURN clock;
END
$$;

-- A write of many commands, or of a lock for which many wait, stays in its row, if that fits into
-- one page: what is kept aside is written in pieces, each with an entry in an index.
ALTER TABLE leasehold.log SET (toast_tuple_target = 8160);
