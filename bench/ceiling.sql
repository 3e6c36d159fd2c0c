-- What the ceilings and pgbench write: the lead and its delivery as plain tables, with their keys only.
DROP TABLE IF EXISTS bench_leads, bench_deliveries;
CREATE TABLE bench_leads (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid NOT NULL,
    status text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, id)
);
CREATE TABLE bench_deliveries (
    account_id uuid NOT NULL,
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    credential_id uuid NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    attempt integer NOT NULL,
    epoch bigint,
    queued_at timestamptz,
    outcome text,
    deadline_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (account_id, id)
);
