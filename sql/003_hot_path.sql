-- What a lead and its result cost the server, lowered.
--
-- Words that were guarded by CHECK constraints become types: a constraint is read anew by each statement and run for each
-- row that it writes, also when it writes something else.

CREATE TYPE lead_status AS ENUM ('New', 'AtWork', 'Success', 'Declined');
CREATE TYPE delivery_state AS ENUM
    ('pending', 'queued', 'held', 'ambiguous', 'delivered', 'failed', 'skipped', 'canceled');
CREATE TYPE delivery_verb AS ENUM ('send', 'update');
CREATE DOMAIN delivery_priority AS smallint CHECK (VALUE BETWEEN 0 AND 2);

-- Nothing looks into these two: json keeps the text, where jsonb builds a tree.
ALTER TABLE leads
    DROP CONSTRAINT leads_status_check,
    ALTER COLUMN status DROP DEFAULT,
    ALTER COLUMN status TYPE lead_status USING status::lead_status,
    ALTER COLUMN status SET DEFAULT 'New',
    ALTER COLUMN trace DROP DEFAULT,
    ALTER COLUMN trace TYPE json USING trace::json,
    ALTER COLUMN trace SET DEFAULT '[]',
    ALTER COLUMN data TYPE json USING data::json;

DROP INDEX deliveries_due, deliveries_queued, deliveries_waiting, deliveries_failed;
ALTER TABLE deliveries
    DROP CONSTRAINT deliveries_verb_check,
    DROP CONSTRAINT deliveries_priority_check,
    DROP CONSTRAINT deliveries_state_check,
    DROP CONSTRAINT deliveries_check,
    ALTER COLUMN verb DROP DEFAULT,
    ALTER COLUMN verb TYPE delivery_verb USING verb::delivery_verb,
    ALTER COLUMN verb SET DEFAULT 'send',
    ALTER COLUMN priority TYPE delivery_priority,
    ALTER COLUMN state TYPE delivery_state USING state::delivery_state;
ALTER TABLE deliveries
    ADD CONSTRAINT deliveries_check CHECK
    ((state = 'queued') <= (epoch IS NOT NULL AND queued_at IS NOT NULL AND attempt > 0));
CREATE INDEX deliveries_due ON deliveries (credential_id, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_queued ON deliveries (queued_at, id) WHERE state = 'queued';
CREATE INDEX deliveries_waiting ON deliveries (credential_id, id) WHERE state IN ('held', 'ambiguous');
CREATE INDEX deliveries_failed ON deliveries (account_id, settled_at) WHERE state = 'failed';

-- A delivery's id carries the very millisecond of its lead's, so its lead's deliveries are a short range of the key.
DROP INDEX deliveries_of_lead;

-- The lowest and the highest version 7 id of the millisecond that `id` carries.
CREATE FUNCTION plumb_id_low(id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (left(id::text, 13) || '-7000-8000-000000000000')::uuid $$;
CREATE FUNCTION plumb_id_high(id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (left(id::text, 13) || '-7fff-bfff-ffffffffffff')::uuid $$;

-- The route is the same for nearly all: compared last.
ALTER TABLE idempotency DROP CONSTRAINT idempotency_pkey, ADD PRIMARY KEY (account_id, key, route);

-- What ingest hands over (002_intake.sql), in the new types.
DROP TYPE lead_intake_1, delivery_intake_1;
CREATE TYPE lead_intake_2 AS (
    account_id uuid,
    id uuid,
    created_at timestamptz,
    sealed_key bytea,
    sealed bytea,
    trace json,
    traceparent text,
    route text, -- "POST /api/v1/leads"
    key text,   -- Idempotency-Key; NULL: the sender gave none
    body_hash bytea,
    integration_status text,
    user_id uuid,
    project_id uuid,
    quiz_id uuid,
    external_id text,
    external_system text,
    external_entity text,
    external_entity_id text,
    data json,
    status lead_status,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_content text,
    utm_term text,
    ip_address inet,
    city text,
    country text,
    region text,
    timezone text,
    is_test boolean,
    fingerprint text,
    referer text
);

CREATE TYPE delivery_intake_2 AS (
    lead_id uuid,
    account_id uuid,
    id uuid,
    credential_id uuid,
    channel text,
    state delivery_state,
    attempt integer,
    due_at timestamptz,
    deadline_at timestamptz,
    epoch bigint,
    reason text,
    created_at timestamptz
);

-- What the tracker records of results: likewise one array of records, in the order in which tracker/store_attempts.c writes them.
CREATE TYPE attempt_result_1 AS (
    account_id uuid,
    delivery_id uuid,
    attempt integer,
    outcome text,
    worker text,
    status integer,
    requests integer,
    dns_us integer,
    connect_us integer,
    tls_us integer,
    first_byte_us integer,
    total_us integer,
    retry_after_ms bigint,
    detail text,
    external_id text,
    exchange bytea,
    started_at timestamptz,
    counted boolean,
    repeats integer,
    checkpoint text
);
