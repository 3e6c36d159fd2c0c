-- Erasing a person, and changing the keys that leads are sealed under.

-- ---- erasing ----

-- When the person was erased: what tells who it was is gone, what is counted stays.
ALTER TABLE leads ADD COLUMN erased_at timestamptz;
CREATE INDEX leads_to_erase ON leads (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

-- Destroy what tells who these leads were: the data key and what it seals (so nothing that a worker kept of an exchange
-- opens either), blind indexes, answers, address and marks of the browser, verifications of the phone.  Deliveries that wait
-- are canceled; one that a worker has may still arrive.  Returns the leads that were not erased yet.
CREATE FUNCTION plumb_erase_leads(account uuid, ids uuid[], made_by text) RETURNS SETOF uuid
LANGUAGE sql VOLATILE AS $$
    WITH old AS MATERIALIZED (
        SELECT l.id, l.phone_term FROM leads l
        WHERE l.account_id = account AND l.id = ANY (ids) AND l.erased_at IS NULL
        ORDER BY l.id FOR NO KEY UPDATE),
    erased AS (
        UPDATE leads l SET sealed_key = NULL, sealed = NULL, phone_term = NULL, email_term = NULL, terms = NULL,
            body_hash = NULL, data = NULL, ip_address = NULL, fingerprint = NULL, referer = NULL, verification_id = NULL,
            version = l.version + 1, updated_at = now(), erased_at = now()
        FROM old o WHERE l.account_id = account AND l.id = o.id RETURNING l.id),
    canceled AS (
        UPDATE deliveries d SET state = 'canceled', reason = 'erased', settled_at = now()
        FROM erased e WHERE d.account_id = account AND d.id BETWEEN plumb_id_low(e.id) AND plumb_id_high(e.id)
        AND d.lead_id = e.id AND d.state IN ('pending', 'held', 'ambiguous')),
    verified AS (
        DELETE FROM phone_verifications v USING old o WHERE v.account_id = account AND v.phone_term = o.phone_term),
    changes AS (
        INSERT INTO lead_changes (account_id, id, lead_id, attribute, became, made_by)
        SELECT account, plumb_id_new(), e.id, 'erasedAt', now()::text, made_by FROM erased e),
    told AS (
        INSERT INTO events (account_id, id, kind, lead_id)
        SELECT account, plumb_id_new(), 'lead.erased', e.id FROM erased e)
    SELECT id FROM erased
$$;

-- ---- keys ----

-- Bringing all that an account has sealed under a new version of its key, or the keys of all accounts under the newest master
-- key.  A tracker walks the tables page by page; each page and where it stands are one transaction.
CREATE TABLE key_jobs (
    id uuid PRIMARY KEY DEFAULT plumb_id_new(),
    account_id uuid REFERENCES accounts, -- NULL: the keys of all accounts
    key_id integer,                      -- the version; of the account made by the tracker, NULL until then
    pass integer NOT NULL DEFAULT 1,     -- walks through all tables
    pass_began_at timestamptz,
    place integer NOT NULL DEFAULT 0,    -- which table
    at_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- the last row that was looked at …
    at_key integer NOT NULL DEFAULT 0,   -- … of those keyed by version too
    expected bigint NOT NULL DEFAULT 0,  -- rows of one pass, about
    seen bigint NOT NULL DEFAULT 0,      -- of this pass
    older bigint NOT NULL DEFAULT 0,     -- of them under another version
    unopened bigint NOT NULL DEFAULT 0,  -- of them that do not open: left as they are
    changed bigint NOT NULL DEFAULT 0,   -- by all passes
    note text,                           -- what it waits for, how it ended
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE UNIQUE INDEX key_jobs_running ON key_jobs (coalesce(account_id, '00000000-0000-0000-0000-000000000000'))
    WHERE finished_at IS NULL;
