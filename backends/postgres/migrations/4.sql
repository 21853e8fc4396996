-- A write keeps what it has changed of each record, and not the record: a lock's queue would be
-- written with every hand-over. Rows from before have `records`, and are read as they are until
-- they are folded.
ALTER TABLE leasehold.log ADD COLUMN changes bytea, ALTER COLUMN records DROP NOT NULL;
-- They are compressed already.
ALTER TABLE leasehold.log ALTER COLUMN changes SET STORAGE EXTERNAL;

-- The same as `write`, which it replaces. Under another name, so that a gateway of an older build
-- that is still running can neither write records beside changes nor take changes for records.
DROP FUNCTION leasehold.write;
CREATE FUNCTION leasehold.advance(
    previous_version bigint, next_version bigint, next_now_us bigint, next_newest bigint,
    next_documents bigint, of_timeline integer, unreplicated boolean,
    written_changes bytea, written_events bytea, lock_timeout_ms text
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
            (version, previous, now_us, newest, documents, changes, events)
        VALUES (next_version, previous_version, next_now_us, next_newest, next_documents,
            written_changes, written_events);
    END IF;
    RETURN clock;
END
$$;
