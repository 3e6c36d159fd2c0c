-- The pipeline: accounts and what they own, leads, deliveries, attempts, and what recovery reads.
--
-- Large tables lead their keys with the account (ready to be distributed by it) and are partitioned by range of their own
-- version 7 id, so that a look-up by id finds its partition and old months are dropped whole.  There
-- are no foreign keys between large tables: their rows are written together in one transaction, and
-- a check per row would cost more than the row.

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Data keys of accounts, wrapped by a master key (lib/seal.h). The highest id seals.
CREATE TABLE account_keys (
    account_id uuid NOT NULL REFERENCES accounts,
    key_id integer NOT NULL CHECK (key_id > 0),
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key_id)
);

CREATE TABLE users (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);

CREATE TABLE projects (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, user_id) REFERENCES users
);

CREATE TABLE quizzes (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    active boolean NOT NULL DEFAULT true,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, project_id) REFERENCES projects
);

-- "<id>.<secret>": the id finds the row, the secret is kept as a keyed hash.
CREATE TABLE tokens (
    id text PRIMARY KEY CHECK (length(id) = 12),
    account_id uuid NOT NULL REFERENCES accounts,
    name text NOT NULL,
    key_id integer NOT NULL, -- the master key whose derived key hashed it
    hash bytea NOT NULL CHECK (length(hash) = 32),
    scopes text[] NOT NULL CHECK (scopes <@ '{read,write,operate,admin,intake}'),
    project_id uuid,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tokens_of_account ON tokens (account_id);

-- What the workers' plugins say of themselves; written by the tracker.
CREATE TABLE channels (
    code text PRIMARY KEY,
    title text NOT NULL,
    version text NOT NULL,
    fields jsonb NOT NULL,
    limits jsonb NOT NULL,
    present boolean NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE credentials (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    channel text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    version integer NOT NULL DEFAULT 1,
    sealed bytea NOT NULL,              -- fields, sealed under the account's key
    enabled boolean NOT NULL DEFAULT true, -- the owner's switch
    accepts_tests boolean NOT NULL DEFAULT true,
    suspended_at timestamptz,           -- ours
    suspended_reason text,
    settings jsonb NOT NULL DEFAULT '{}', -- retry schedule, mapping
    refused integer NOT NULL DEFAULT 0, -- answers of class "credentials" in a row
    failures integer NOT NULL DEFAULT 0, -- failures since the last success
    succeeded_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);

-- Which leads go to a credential: those of a quiz, or of a whole project.
CREATE TABLE credential_links (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    credential_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid, -- NULL: every quiz of the project
    enabled boolean NOT NULL DEFAULT true,
    delay_ms bigint NOT NULL DEFAULT 0 CHECK (delay_ms >= 0),
    PRIMARY KEY (account_id, id),
    FOREIGN KEY (account_id, credential_id) REFERENCES credentials ON DELETE CASCADE,
    FOREIGN KEY (account_id, project_id) REFERENCES projects
);
CREATE INDEX credential_links_of_project ON credential_links (account_id, project_id);
CREATE UNIQUE INDEX credential_links_once ON credential_links (account_id, credential_id, project_id,
    (coalesce(quiz_id, '00000000-0000-0000-0000-000000000000'::uuid)));

CREATE TABLE leads (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid NOT NULL,
    version integer NOT NULL DEFAULT 1,
    status text NOT NULL DEFAULT 'New' CHECK (status IN ('New', 'AtWork', 'Success', 'Declined')),
    sealed_key bytea,  -- the lead's data key, wrapped; NULL once the person was erased
    sealed bytea,      -- name, phone, e-mail, contacts: one frame under the data key
    external_id text,
    external_system text,
    external_entity text,
    external_entity_id text,
    data jsonb,
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
    fingerprint text,
    referer text,
    viewed boolean NOT NULL DEFAULT false,
    paid boolean NOT NULL DEFAULT true,
    blocked boolean NOT NULL DEFAULT false,
    is_test boolean NOT NULL DEFAULT false,
    duplicate_of uuid,
    trace jsonb NOT NULL DEFAULT '[]',  -- verdict of each check, without personal data
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE deliveries (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    channel text NOT NULL,
    verb text NOT NULL DEFAULT 'send' CHECK (verb IN ('send', 'update')),
    priority smallint NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 2),
    state text NOT NULL CHECK (state IN
        ('pending', 'queued', 'held', 'ambiguous', 'delivered', 'failed', 'skipped', 'canceled')),
    attempt integer NOT NULL DEFAULT 0, -- the fence: raised at each hand-over, never reset
    tries integer NOT NULL DEFAULT 0,   -- attempts charged to the retry budget
    crashes smallint NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    deadline_at timestamptz NOT NULL,
    epoch bigint,
    queued_at timestamptz,
    outcome text,      -- class of the newest counted result
    reason text,
    external_id text,
    checkpoint jsonb,
    late_success boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz, -- when it became final
    PRIMARY KEY (account_id, id),
    CHECK ((state = 'queued') <= (epoch IS NOT NULL AND queued_at IS NOT NULL AND attempt > 0))
) PARTITION BY RANGE (id);
-- Not led by the account: on a table that was never analyzed an index that shares the key's first column ties with the
-- key for a look-up by (account_id, id), wins, and reads all of the account.
CREATE INDEX deliveries_of_lead ON deliveries (lead_id);
CREATE INDEX deliveries_due ON deliveries (credential_id, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_queued ON deliveries (queued_at, id) WHERE state = 'queued';
CREATE INDEX deliveries_waiting ON deliveries (credential_id, id) WHERE state IN ('held', 'ambiguous');
CREATE INDEX deliveries_failed ON deliveries (account_id, settled_at) WHERE state = 'failed';

-- One row for each thing an attempt came to: a late or contradicting result is a second row, a
-- repeated one counts up.  Partitioned by the delivery's id.
CREATE TABLE attempts (
    account_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt integer NOT NULL,
    outcome text NOT NULL,
    counted boolean NOT NULL,           -- it changed the delivery
    repeats integer NOT NULL DEFAULT 0, -- times the same result came again
    status smallint,
    worker text NOT NULL,
    requests smallint NOT NULL DEFAULT 0,
    dns_us integer,
    connect_us integer,
    tls_us integer,
    first_byte_us integer,
    total_us integer,
    retry_after_ms bigint,
    detail text,
    external_id text,
    exchange bytea,                     -- excerpt of request and answer, sealed under the attempt key
    started_at timestamptz,             -- the worker's clock
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, delivery_id, attempt, outcome)
) PARTITION BY RANGE (delivery_id);

CREATE TABLE events (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL, -- "delivery.failed", "credential.suspended"
    lead_id uuid,
    delivery_id uuid,
    credential_id uuid,
    data jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (id);

-- First answers under an Idempotency-Key, in the transaction of what they answer.
CREATE TABLE idempotency (
    account_id uuid NOT NULL,
    route text NOT NULL, -- "POST /api/v1/leads"
    key text NOT NULL,
    body_hash bytea NOT NULL,
    lead_id uuid,
    status smallint NOT NULL,
    location text,
    integration_status text NOT NULL, -- the one thing in the answer that the repeated request does not tell
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, route, key)
);
CREATE INDEX idempotency_age ON idempotency USING brin (created_at) WITH (pages_per_range = 16);

-- Each start of a broker; written by the tracker from beacons.
CREATE TABLE epochs (
    epoch bigint PRIMARY KEY,
    broker text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    dead_at timestamptz
);
CREATE INDEX epochs_alive ON epochs (broker) WHERE dead_at IS NULL;

-- ---- partitions: one a month, by the time inside the id ----

-- The lowest version 7 id of a moment.
CREATE FUNCTION plumb_id_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid $$;

-- Move what the default partition of `parent` took of a month into a partition of its own.  A table is made and then
-- attached, since CREATE TABLE … PARTITION OF would stop all who read or write `parent`.
CREATE FUNCTION plumb_make_partition(parent text, month timestamp) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    part text := parent || to_char(month, '_YYYY_MM');
    key text := CASE parent WHEN 'attempts' THEN 'delivery_id' ELSE 'id' END;
    low uuid := plumb_id_floor(month AT TIME ZONE 'UTC');
    high uuid := plumb_id_floor((month + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    IF to_regclass(part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    EXECUTE format('WITH late AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM late',
                   parent || '_default', key, low, key, high, part);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, low, high);
    RETURN true;
END $$;

-- Make the partitions of the months from `since` to `until` that are missing; returns how many.  Ids of any other time
-- are in the default partitions, so that a wrong clock never refuses a lead.
CREATE FUNCTION plumb_make_partitions(since timestamptz, until timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    month timestamp := date_trunc('month', since AT TIME ZONE 'UTC');
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('plumb_make_partitions'));
    WHILE month <= until AT TIME ZONE 'UTC' LOOP
        FOREACH parent IN ARRAY '{leads,deliveries,attempts,events}'::text[] LOOP
            made := made + plumb_make_partition(parent, month)::integer;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;

CREATE TABLE leads_default PARTITION OF leads DEFAULT;
CREATE TABLE deliveries_default PARTITION OF deliveries DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
CREATE TABLE events_default PARTITION OF events DEFAULT;
SELECT plumb_make_partitions(now(), now() + interval '2 months');
