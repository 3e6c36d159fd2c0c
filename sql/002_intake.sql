-- What ingest hands over in one statement: a lead with the idempotent answer to its sender, and a delivery.
--
-- One array of each travels per commit.  Composites, not one array per column: each unnest of a column is
-- a function scan of its own, and thirty of them cost more than the insertion.  Columns come in the
-- order in which ingest/pack.c writes them; a change is a new type with a new number.
CREATE TYPE lead_intake_1 AS (
    account_id uuid,
    id uuid,
    created_at timestamptz,
    sealed_key bytea,
    sealed bytea,
    trace jsonb,
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
    data jsonb,
    status text,
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

CREATE TYPE delivery_intake_1 AS (
    lead_id uuid,
    account_id uuid,
    id uuid,
    credential_id uuid,
    channel text,
    state text,
    attempt integer,
    due_at timestamptz,
    deadline_at timestamptz,
    epoch bigint,
    reason text,
    created_at timestamptz
);
