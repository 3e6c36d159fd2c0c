-- The counters of all days together: what a reader asks for most, without the days a few rows an account.  Changed by the
-- statement that changes lead_counts.
CREATE TABLE lead_totals (
    account_id uuid NOT NULL,
    project_id uuid NOT NULL,
    quiz_id uuid NOT NULL,
    status lead_status NOT NULL,
    flags smallint NOT NULL, -- plumb_lead_flags
    leads bigint NOT NULL,
    PRIMARY KEY (account_id, project_id, quiz_id, status, flags)
) WITH (fillfactor = 50);

INSERT INTO lead_totals
SELECT account_id, project_id, quiz_id, status, flags, sum(leads) FROM lead_counts GROUP BY 1, 2, 3, 4, 5;
