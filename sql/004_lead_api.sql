-- What the users of the API see: owners with their settings, what is blocked, verified and paid for, how leads are found
-- and counted, what has happened to them.

-- ---- accounts and what they own ----

CREATE TYPE account_plan AS ENUM ('unlimited', 'balance', 'none');
ALTER TABLE accounts
    ADD COLUMN plan account_plan NOT NULL DEFAULT 'unlimited',
    ADD COLUMN settings jsonb NOT NULL DEFAULT '{}'; -- limits

-- Leads that are paid for in advance: a row of its own, since each commit of a lead changes it.
CREATE TABLE balances (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    leads_left bigint NOT NULL DEFAULT 0 CHECK (leads_left >= 0)
) WITH (fillfactor = 20);

-- Every top-up; what leads took shows in them (leads.paid).
CREATE TABLE top_ups (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    leads bigint NOT NULL CHECK (leads > 0),
    reason text,
    made_by text, -- token
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);

-- The key of an account's blind indexes, wrapped by a master key.  It is not the account's key: that one is changed, and
-- what is found by this one would be lost with it.
CREATE TABLE account_index_keys (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE users
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN deleted_at timestamptz;
ALTER TABLE projects
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN settings jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN deleted_at timestamptz;
ALTER TABLE quizzes
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN intake_key text UNIQUE CHECK (length(intake_key) BETWEEN 16 AND 64), -- in the address that public forms post to
    ADD COLUMN intake_secret bytea, -- for signed bodies, sealed under the account's key
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN deleted_at timestamptz;
ALTER TABLE tokens
    ADD COLUMN uuid uuid NOT NULL DEFAULT gen_random_uuid(), -- its name in the API: the id is half of the token
    ADD COLUMN quiz_id uuid,
    ADD COLUMN allowed_ips cidr[],
    ADD COLUMN denied_ips cidr[],
    ADD COLUMN used_at timestamptz; -- to within a minute
CREATE UNIQUE INDEX tokens_by_uuid ON tokens (account_id, uuid);

-- ---- blocklist ----

CREATE TYPE blocked_kind AS ENUM ('phone', 'email', 'domain', 'ip', 'fingerprint');
CREATE TABLE blocklist (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    project_id uuid, -- NULL: all of the account's
    kind blocked_kind NOT NULL,
    term bigint,     -- phone, email: blind index of the value (lib/blind.h) …
    sealed bytea,    -- … and the value, sealed under the account's key
    value text,      -- domain, ip (address or CIDR), fingerprint
    reason text,
    version integer NOT NULL DEFAULT 1,
    expires_at timestamptz,
    created_by text, -- token
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id),
    CHECK ((kind IN ('phone', 'email')) = (term IS NOT NULL AND sealed IS NOT NULL)),
    CHECK ((term IS NULL) = (value IS NOT NULL))
);
CREATE UNIQUE INDEX blocklist_once ON blocklist (account_id, kind, coalesce(term, 0), coalesce(value, ''),
    coalesce(project_id, '00000000-0000-0000-0000-000000000000'));

-- ---- phone verifications ----

CREATE TABLE phone_verifications (
    account_id uuid NOT NULL REFERENCES accounts,
    id uuid NOT NULL,
    phone_term bigint NOT NULL, -- blind index
    sealed bytea NOT NULL,      -- the phone, under the account's key
    client bytea NOT NULL,      -- keyed hash of the asker's address
    credential_id uuid,         -- what sends the code
    code_hash bytea NOT NULL,
    tries smallint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX phone_verifications_of_phone ON phone_verifications (account_id, phone_term, created_at);
CREATE INDEX phone_verifications_of_client ON phone_verifications (account_id, client, created_at);

-- ---- leads ----

-- Terms are blind indexes (lib/blind.h): keyed hashes under the account's index key, so a term names its account too.
ALTER TABLE leads
    ADD COLUMN phone_term bigint,
    ADD COLUMN email_term bigint,
    ADD COLUMN terms bigint[],     -- words of the name, last digits of the phone, domain of the mail address
    ADD COLUMN body_hash bigint,   -- of the canonical body: tells an identical lead
    ADD COLUMN verification_id uuid,
    ADD COLUMN released_at timestamptz; -- by hand, although unpaid or a duplicate
-- None that every look-up could use begins with the account: on a table that was never analyzed it ties with the key.  So
-- leads_by_update has a condition that always holds, and that only who sorts by it gives.
CREATE INDEX leads_board ON leads (project_id, status, id);
CREATE INDEX leads_by_update ON leads (account_id, updated_at, id) WHERE updated_at > '2000-01-01 00:00:00+00';
CREATE INDEX leads_by_phone ON leads (phone_term, id) WHERE phone_term IS NOT NULL;
CREATE INDEX leads_by_email ON leads (email_term, id) WHERE email_term IS NOT NULL;
CREATE INDEX leads_by_body ON leads (body_hash, id) WHERE phone_term IS NULL AND email_term IS NULL;
CREATE INDEX leads_by_external_id ON leads (external_id, id) WHERE external_id IS NOT NULL;
CREATE INDEX leads_by_original ON leads (duplicate_of) WHERE duplicate_of IS NOT NULL;
CREATE INDEX leads_unpaid ON leads (account_id, id) WHERE NOT paid;
CREATE INDEX leads_by_term ON leads USING gin (terms) WITH (gin_pending_list_limit = 512);

-- Who changed what, when: status, payment, block.
CREATE TABLE lead_changes (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    attribute text NOT NULL,
    was text,
    became text,
    made_by text, -- token, or "plumb"
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, lead_id, id)
);

-- ---- counters ----

-- How many leads of a day (UTC, of their creation) stand where: what commits add …
CREATE TABLE lead_deltas (
    account_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid NOT NULL,
    day date NOT NULL,
    status lead_status NOT NULL,
    flags smallint NOT NULL, -- plumb_lead_flags
    leads integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- … and their sum, into which the tracker folds them.  A reader adds both.
CREATE TABLE lead_counts (
    account_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid NOT NULL,
    day date NOT NULL,
    status lead_status NOT NULL,
    flags smallint NOT NULL,
    leads bigint NOT NULL,
    PRIMARY KEY (account_id, project_id, quiz_id, day, status, flags)
) WITH (fillfactor = 70);

-- The bits by which leads are counted.
CREATE FUNCTION plumb_lead_flags(viewed boolean, paid boolean, blocked boolean, is_test boolean, duplicate boolean,
    deleted boolean) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (viewed::int + paid::int * 2 + blocked::int * 4 + is_test::int * 8 + duplicate::int * 16
              + deleted::int * 32)::smallint $$;

-- ---- events ----

-- Ordered by the transaction that wrote them: a reader takes those below pg_snapshot_xmin(pg_current_snapshot()), so that
-- none that commits later is ever passed over.  One row may tell of many leads of one commit.
ALTER TABLE events
    ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN lead_ids uuid[];
CREATE INDEX events_in_order ON events (account_id, xid, id);
