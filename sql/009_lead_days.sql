-- Counters of some days of an account, without a walk over all of its days.
CREATE INDEX lead_counts_by_day ON lead_counts (account_id, day);
