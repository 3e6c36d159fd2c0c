-- What only the commit of a lead can decide: is it one that is there already, is its person there already, is it paid for.

-- The answer to a lead tells whether it is paid and whose duplicate it is; so does the answer to a repeat of its request.
ALTER TABLE idempotency
    ADD COLUMN paid boolean NOT NULL DEFAULT true,
    ADD COLUMN duplicate_of uuid;

-- What ingest hands over (003_hot_path.sql), with what leads are found by.
DROP TYPE lead_intake_2;
CREATE TYPE lead_intake_3 AS (
    account_id uuid,
    id uuid,
    created_at timestamptz,
    sealed_key bytea,
    sealed bytea,
    trace json,
    traceparent text,
    route text, -- "POST /api/v1/leads"
    key text,   -- Idempotency-Key; NULL: the sender gave none
    request_hash bytea, -- of the body that the key belongs to
    integration_status text,
    phone_term bigint,
    email_term bigint,
    terms bigint[],
    body_hash bigint,
    blocked boolean,
    verification_id uuid,
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

-- Why deliveries of a lead are held; NULL: they may go.
CREATE FUNCTION plumb_hold_reason(blocked boolean, duplicate_of uuid, paid boolean, released_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN blocked THEN 'lead_blocked' WHEN released_at IS NOT NULL THEN NULL
                  WHEN duplicate_of IS NOT NULL THEN 'lead_duplicate' WHEN NOT paid THEN 'lead_unpaid' END $$;

-- What is decided of the leads of one quiz: as its settings and its account's plan were when the lead was prepared.
CREATE TYPE lead_rule_1 AS (
    account_id uuid,
    project_id uuid,
    quiz_id uuid,
    same_since uuid,     -- lowest id of a lead that is the same; NULL: none is looked for
    person_since uuid,   -- likewise of one of the same person
    policy text,         -- flag, reject
    keys integer,        -- of the person: 1 phone, 2 e-mail, 4 external id
    fields integer,      -- how many data fields besides
    needs_all boolean,   -- of the keys
    scope text,          -- project, account, credential
    plan text            -- none, balance; NULL: all are paid
);

-- The keys of leads under way, one array element a lead; 0 and '' are none.
CREATE TYPE lead_keys_1 AS (
    rules lead_rule_1[], -- in the order of their accounts
    rule_of integer[],  -- the lead's rule
    ids uuid[],
    phones bigint[],
    emails bigint[],
    bodies bigint[],
    externals text[],   -- empty if no rule wants them
    routes text[],
    keys text[],        -- Idempotency-Keys
    field_of integer[], -- data fields of leads: whose, which, and the value's term
    field_names text[],
    field_terms bigint[],
    silent integer[],   -- leads that do not count for others: tests, blocked
    credential_of integer[], -- where the leads of a rule go, if a rule's scope is credential
    credentials uuid[]
);

CREATE FUNCTION plumb_rule_credentials(k lead_keys_1, rule integer) RETURNS uuid[]
LANGUAGE sql IMMUTABLE
AS $$ SELECT ARRAY(SELECT u.credential FROM unnest(k.credential_of, k.credentials) u (rule_of, credential)
                   WHERE u.rule_of = rule) $$;

-- By which of its keys lead `s` is of the same person as `o`; NULL: it is not.
CREATE FUNCTION plumb_lead_person(k lead_keys_1, s integer, phone bigint, email bigint, external text, terms bigint[])
RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    r lead_rule_1 := k.rules[k.rule_of[s]];
    by_phone boolean := coalesce(k.phones[s] <> 0 AND k.phones[s] = phone, false);
    by_email boolean := coalesce(k.emails[s] <> 0 AND k.emails[s] = email, false);
    by_external boolean := coalesce(k.externals[s] <> '' AND k.externals[s] = external, false);
    by_field text[] := CASE WHEN s = ANY (k.field_of) THEN
        ARRAY(SELECT u.name FROM unnest(k.field_of, k.field_names, k.field_terms) u (lead, name, term)
              WHERE u.lead = s AND u.term = ANY (terms)) ELSE '{}' END;
BEGIN
    IF r.needs_all AND ((r.keys & 1 > 0 AND NOT by_phone) OR (r.keys & 2 > 0 AND NOT by_email) OR
                        (r.keys & 4 > 0 AND NOT by_external) OR cardinality(by_field) < r.fields) THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN r.keys & 1 > 0 AND by_phone THEN 'phone' WHEN r.keys & 2 > 0 AND by_email THEN 'email'
                WHEN r.keys & 4 > 0 AND by_external THEN 'externalId' ELSE by_field[1] END;
END $$;

-- Whether stored lead `l` is a rival of lead `s`: '' if identical, the key that tells its person, or NULL.
CREATE FUNCTION plumb_lead_rival(k lead_keys_1, s integer, identical boolean, l leads) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    r lead_rule_1 := k.rules[k.rule_of[s]];
BEGIN
    IF l.account_id <> r.account_id OR l.deleted_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    IF identical THEN
        RETURN CASE WHEN l.quiz_id = r.quiz_id AND l.body_hash = k.bodies[s] THEN '' END;
    END IF;
    IF l.is_test OR l.blocked OR (r.scope = 'project' AND l.project_id <> r.project_id) OR
       (r.scope = 'credential' AND NOT EXISTS (
            SELECT FROM deliveries d
            WHERE d.account_id = l.account_id AND d.id >= plumb_id_low(l.id) AND d.id <= plumb_id_high(l.id)
              AND d.lead_id = l.id AND d.state NOT IN ('skipped', 'canceled')
              AND d.credential_id = ANY (plumb_rule_credentials(k, k.rule_of[s])))) THEN
        RETURN NULL;
    END IF;
    RETURN plumb_lead_person(k, s, l.phone_term, l.email_term, l.external_id, l.terms);
END $$;

-- A lead that another one meets: stored, or `number` of those under way.
CREATE TYPE lead_rival_1 AS (id uuid, root uuid, paid boolean, field text, number integer);

-- The first stored lead that lead `s` is identical with, or of the same person as (by key `field`).  Each arm reads one index in
-- the order of ids and stops at its first match; so the account is not compared in a way that the key's index could serve.
CREATE FUNCTION plumb_stored_rival(k lead_keys_1, s integer, identical boolean) RETURNS lead_rival_1
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    r lead_rule_1 := k.rules[k.rule_of[s]];
    rival lead_rival_1;
    since uuid := CASE WHEN identical THEN r.same_since ELSE r.person_since END;
    p bigint := CASE WHEN identical OR r.keys & 1 > 0 THEN nullif(k.phones[s], 0) END;
    e bigint := CASE WHEN (identical AND p IS NULL) OR r.keys & 2 > 0 THEN nullif(k.emails[s], 0) END;
    x text := CASE WHEN NOT identical AND r.keys & 4 > 0 THEN nullif(k.externals[s], '') END;
    b bigint := CASE WHEN identical AND p IS NULL AND e IS NULL THEN nullif(k.bodies[s], 0) END;
    f bigint[] := CASE WHEN NOT identical AND s = ANY (k.field_of) THEN
        ARRAY(SELECT u.term FROM unnest(k.field_of, k.field_terms) u (lead, term) WHERE u.lead = s) END;
BEGIN
    IF since IS NULL THEN
        RETURN rival;
    END IF;
    SELECT l.id, coalesce(l.duplicate_of, l.id), l.paid, l.field, NULL INTO rival
    FROM ((SELECT l.*, m.field FROM leads l, LATERAL plumb_lead_rival(k, s, identical, l) m (field)
           WHERE l.phone_term = p AND l.id >= since AND m.field IS NOT NULL ORDER BY l.id LIMIT 1)
          UNION ALL
          (SELECT l.*, m.field FROM leads l, LATERAL plumb_lead_rival(k, s, identical, l) m (field)
           WHERE l.email_term = e AND l.id >= since AND m.field IS NOT NULL ORDER BY l.id LIMIT 1)
          UNION ALL
          (SELECT l.*, m.field FROM leads l, LATERAL plumb_lead_rival(k, s, identical, l) m (field)
           WHERE l.external_id = x AND l.id >= since AND m.field IS NOT NULL ORDER BY l.id LIMIT 1)
          UNION ALL
          (SELECT l.*, m.field FROM leads l, LATERAL plumb_lead_rival(k, s, identical, l) m (field)
           WHERE l.phone_term IS NULL AND l.email_term IS NULL AND l.body_hash = b AND l.id >= since AND m.field IS NOT NULL
           ORDER BY l.id LIMIT 1)
          UNION ALL
          (SELECT l.*, m.field FROM leads l, LATERAL plumb_lead_rival(k, s, identical, l) m (field)
           WHERE l.terms && f AND l.id >= since AND m.field IS NOT NULL ORDER BY l.id LIMIT 1)) l
    ORDER BY l.id LIMIT 1;
    RETURN rival;
END $$;

-- The first lead under way, before lead `s`, of which the same holds.
CREATE FUNCTION plumb_peer_rival(k lead_keys_1, s integer, identical boolean, peers integer[], gone integer[])
RETURNS lead_rival_1
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    r lead_rule_1 := k.rules[k.rule_of[s]];
    rival lead_rival_1;
BEGIN
    SELECT k.ids[v.number], k.ids[v.number], true, v.field, v.number INTO rival FROM (
        SELECT g.number, CASE
            WHEN o.account_id IS DISTINCT FROM r.account_id THEN NULL
            WHEN identical THEN CASE WHEN o.quiz_id = r.quiz_id AND k.bodies[s] <> 0 AND k.bodies[s] = k.bodies[g.number]
                                     THEN '' END
            WHEN r.person_since IS NULL OR g.number = ANY (k.silent) THEN NULL
            WHEN r.scope = 'project' AND o.project_id <> r.project_id THEN NULL
            WHEN r.scope = 'credential' AND NOT plumb_rule_credentials(k, k.rule_of[g.number]) &&
                                                plumb_rule_credentials(k, k.rule_of[s]) THEN NULL
            ELSE plumb_lead_person(k, s, k.phones[g.number], k.emails[g.number], k.externals[g.number],
                ARRAY(SELECT u.term FROM unnest(k.field_of, k.field_terms) u (lead, term) WHERE u.lead = g.number)) END AS field
        FROM unnest(peers) g (number), LATERAL (SELECT (k.rules[k.rule_of[g.number]]).*) o
        WHERE g.number < s AND g.number <> ALL (gone)) v
    WHERE v.field IS NOT NULL AND (NOT identical OR r.same_since IS NOT NULL) ORDER BY v.number LIMIT 1;
    RETURN rival;
END $$;

-- A stored one before one under way.
CREATE FUNCTION plumb_rival(k lead_keys_1, s integer, identical boolean, peers integer[], gone integer[]) RETURNS lead_rival_1
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    rival lead_rival_1 := plumb_stored_rival(k, s, identical);
BEGIN
    IF rival.id IS NULL AND cardinality(peers) > 0 THEN
        RETURN plumb_peer_rival(k, s, identical, peers, gone);
    END IF;
    RETURN rival;
END $$;

-- Take what the account has left for leads `numbers`; returns those for which there was nothing.  The row is locked also
-- when it says 0, so that a top-up either comes first or sees these leads unpaid.
CREATE FUNCTION plumb_take_balance(account uuid, numbers integer[]) RETURNS integer[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    there bigint;
    wanted integer := cardinality(numbers);
BEGIN
    UPDATE balances SET leads_left = leads_left - wanted WHERE account_id = account AND leads_left >= wanted;
    IF FOUND THEN
        RETURN '{}';
    END IF;
    SELECT leads_left INTO there FROM balances WHERE account_id = account FOR UPDATE;
    there := least(coalesce(there, 0), wanted);
    IF there > 0 THEN
        UPDATE balances SET leads_left = leads_left - there WHERE account_id = account;
    END IF;
    RETURN numbers[there + 1:];
END $$;

-- Decide what is to become of leads under way.  Only those come back that are not simply stored and paid:
--   known   the Idempotency-Key was used; nothing is to be written
--   same    identical with lead `original`, which is `paid`, a duplicate of `root`; only the key's row is to be written
--   refused the person is there, lead `original`, by key `field`; nothing is to be written
--   NULL    to be stored, as a duplicate of `original` unless that is NULL, `paid` or not
--
-- Whoever decides on equal keys does so one after the other: locks are taken first and end with the transaction, and each
-- statement behind them sees what was committed before.  Who finds nobody else at the account takes its gate for himself and is
-- done; else gates are shared, and each locks his keys, `locks`; who has too many of those (none are given) waits for the
-- gates alone.  Gates before keys, each in order: so nobody waits in a circle.
--
-- `suspects`: leads that ingest wants looked at closely, among them those that share a key with another one of the group
-- (`peers`); `kinds`: what is to be looked at at all, 1 phones and mail addresses, 2 bodies, 4 external ids, 8 payment.
CREATE FUNCTION plumb_decide_leads(gates bigint[], locks bigint[], k lead_keys_1, kinds integer, low uuid, high uuid,
    suspects integer[], peers integer[])
RETURNS TABLE (number integer, fate text, original uuid, root uuid, field text, paid boolean)
LANGUAGE plpgsql VOLATILE ROWS 100 AS $$
#variable_conflict use_column
DECLARE
    r lead_rule_1;
    s integer;
    i integer;
    payers integer[];
    gate bigint;
    alone boolean := true;
    met bigint[]; -- terms that a stored lead has
    rival lead_rival_1;
    due integer[] := suspects; -- to be looked at closely
    gone integer[] := '{}';    -- will not be stored
    unpaid integer[] := '{}';
    numbers integer[] := '{}'; -- what is decided so far
    fates text[] := '{}';
    originals uuid[] := '{}';
    roots uuid[] := '{}';
    fields text[] := '{}';
    paids boolean[] := '{}';
    twins integer[] := '{}';   -- the lead under way that this one is the same as
    what text;
BEGIN
    FOREACH gate IN ARRAY gates LOOP
        IF cardinality(locks) = 0 THEN
            PERFORM pg_advisory_xact_lock(gate);
        ELSIF NOT pg_try_advisory_xact_lock(gate) THEN
            PERFORM pg_advisory_xact_lock_shared(gate);
            alone := false;
        END IF;
    END LOOP;
    IF NOT alone THEN
        PERFORM pg_advisory_xact_lock(u.lock) FROM unnest(locks) u (lock);
    END IF;
    -- One scan of an index each, whatever the statistics say, and nearly always in vain.
    IF kinds & 1 > 0 THEN
        met := ARRAY(SELECT l.phone_term FROM leads l WHERE l.phone_term = ANY (k.phones) AND l.id >= low AND l.id < high
                       UNION
                       SELECT l.email_term FROM leads l WHERE l.email_term = ANY (k.emails) AND l.id >= low AND l.id < high);
        IF cardinality(met) > 0 THEN
            due := due || ARRAY(
                SELECT u.lead::integer FROM unnest(k.phones, k.emails) WITH ORDINALITY u (phone, email, lead)
                WHERE u.phone = ANY (met) OR u.email = ANY (met));
        END IF;
    END IF;
    IF kinds & 2 > 0 THEN
        due := due || ARRAY(
            SELECT u.lead::integer FROM unnest(k.phones, k.emails, k.bodies) WITH ORDINALITY u (phone, email, body, lead)
            WHERE u.phone = 0 AND u.email = 0 AND
                  (SELECT true FROM leads l WHERE l.phone_term IS NULL AND l.email_term IS NULL
                   AND l.body_hash = nullif(u.body, 0) AND l.id >= low AND l.id < high LIMIT 1));
    END IF;
    IF kinds & 4 > 0 THEN
        due := due || ARRAY(
            SELECT u.lead::integer FROM unnest(k.externals) WITH ORDINALITY u (external, lead)
            WHERE (SELECT true FROM leads l WHERE l.external_id = nullif(u.external, '') AND l.id >= low AND l.id < high LIMIT 1));
    END IF;
    IF cardinality(due) > 0 THEN
        FOR s IN SELECT DISTINCT u.lead FROM unnest(due) u (lead) ORDER BY u.lead LOOP
            r := k.rules[k.rule_of[s]];
            what := CASE WHEN k.keys[s] <> '' AND EXISTS (
                SELECT FROM idempotency i WHERE i.account_id = r.account_id AND i.key = k.keys[s] AND i.route = k.routes[s])
                THEN 'known' END;
            rival := NULL;
            IF what IS NULL THEN
                rival := plumb_rival(k, s, true, peers, gone);
                what := CASE WHEN rival.id IS NOT NULL THEN 'same' END;
            END IF;
            IF what IS NULL THEN
                rival := plumb_rival(k, s, false, peers, gone);
                CONTINUE WHEN rival.id IS NULL;
                what := CASE r.policy WHEN 'reject' THEN 'refused' END;
            END IF;
            IF rival.number IS NOT NULL THEN
                rival.root := coalesce(roots[array_position(numbers, rival.number)], rival.id);
            END IF;
            IF what IS NOT NULL THEN
                gone := gone || s;
            END IF;
            numbers := numbers || s;
            fates := fates || what;
            originals := originals || CASE WHEN what IS NULL THEN rival.root ELSE rival.id END;
            roots := roots || CASE WHEN what IS NULL OR rival.root <> rival.id THEN rival.root END;
            fields := fields || rival.field;
            paids := paids || coalesce(rival.paid, true);
            twins := twins || CASE WHEN what = 'same' THEN rival.number END;
        END LOOP;
    END IF;
    IF kinds & 8 > 0 THEN
        FOR i IN 1 .. cardinality(k.rules) LOOP -- in the order of accounts, so that balances are locked in one order
            r := k.rules[i];
            CONTINUE WHEN r.plan IS NULL;
            payers := ARRAY(SELECT u.lead::integer FROM unnest(k.rule_of) WITH ORDINALITY u (rule, lead)
                            WHERE u.rule = i AND u.lead <> ALL (gone));
            unpaid := unpaid || CASE r.plan WHEN 'balance' THEN plumb_take_balance(r.account_id, payers) ELSE payers END;
        END LOOP;
    END IF;
    IF cardinality(numbers) = 0 AND cardinality(unpaid) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT coalesce(d.lead, u.lead), d.fate, d.original, d.root, d.field,
           CASE WHEN d.fate = 'same' THEN d.paid AND (d.twin IS NULL OR d.twin <> ALL (unpaid)) ELSE u.lead IS NULL END
    FROM unnest(numbers, fates, originals, roots, fields, paids, twins) d (lead, fate, original, root, field, paid, twin)
    FULL JOIN unnest(unpaid) u (lead) ON u.lead = d.lead;
END $$;
