-- Whoever caches configuration hears of each change of it: what ingest keeps of tokens, quizzes and credentials is dropped
-- as soon as the change is committed, whoever made it.  Columns that are written in passing (last use of a token, a
-- credential's failures) are no change.

CREATE FUNCTION plumb_changed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN -- "quizzes 0190…": the account, since entries are dropped by it; the server tells equal ones once a transaction
    PERFORM pg_notify('plumb_changed', TG_TABLE_NAME || ' ' ||
        CASE WHEN TG_TABLE_NAME = 'accounts' THEN to_jsonb(coalesce(NEW, OLD)) ->> 'id'
             ELSE to_jsonb(coalesce(NEW, OLD)) ->> 'account_id' END);
    RETURN NULL;
END $$;

CREATE TRIGGER changed AFTER INSERT OR DELETE ON tokens FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed_in AFTER UPDATE ON tokens FOR EACH ROW
    WHEN ((OLD.hash, OLD.key_id, OLD.scopes, OLD.project_id, OLD.quiz_id, OLD.allowed_ips, OLD.denied_ips, OLD.expires_at,
           OLD.revoked_at) IS DISTINCT FROM
          (NEW.hash, NEW.key_id, NEW.scopes, NEW.project_id, NEW.quiz_id, NEW.allowed_ips, NEW.denied_ips, NEW.expires_at,
           NEW.revoked_at))
    EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR DELETE ON credentials FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed_in AFTER UPDATE ON credentials FOR EACH ROW
    WHEN ((OLD.channel, OLD.version, OLD.sealed, OLD.enabled, OLD.accepts_tests, OLD.settings, OLD.suspended_at IS NULL)
          IS DISTINCT FROM
          (NEW.channel, NEW.version, NEW.sealed, NEW.enabled, NEW.accepts_tests, NEW.settings, NEW.suspended_at IS NULL))
    EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON projects FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON quizzes FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON credential_links FOR EACH ROW EXECUTE FUNCTION plumb_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON blocklist FOR EACH ROW EXECUTE FUNCTION plumb_changed();

-- A version 7 id, for rows that a statement makes by itself.
CREATE FUNCTION plumb_id_new() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' ||
              substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid $$;
