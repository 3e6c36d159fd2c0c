/* What ingest is made of, in the order in which it starts and the reverse in which it stops. */
#include "ingest.h"

#include "clock.h"
#include "count.h"
#include "log.h"
#include "server.h"

#include <czmq.h>
#include <stdlib.h>
#include <unistd.h>

static void drop_tokens(void *cache, const plumb_uuid_t *account)
{
    tokens_drop(cache, account);
}

static void drop_quizzes(void *cache, const plumb_uuid_t *account)
{
    catalog_drop(cache, account);
}

static void drop_blocklists(void *cache, const plumb_uuid_t *account)
{
    blocklists_drop(cache, account);
}

static void drop_intake_keys(void *cache, const plumb_uuid_t *account)
{
    (void)account;
    intake_keys_drop(cache);
}

static int hear_changes(ingest_t *in, plumb_err_t *err)
{
    const changes_cache_t caches[] = {
        {" tokens accounts ", drop_tokens, in->tokens},
        {" quizzes projects users credentials credential_links accounts ", drop_quizzes,
         in->catalog},
        {" blocklist ", drop_blocklists, in->blocklists},
        {" quizzes accounts ", drop_intake_keys, in->intake_keys},
    };
    return changes_new(&in->changes, in->conf->database, caches, PLUMB_COUNT(caches), err);
}

static int start_upkeep(ingest_t *in, plumb_err_t *err)
{
    const upkeep_task_t tasks[] = {
        {in->conf->token_used_every, tokens_write_used, in->tokens},
        {in->conf->geo_every, geo_refresh, in->geo},
    };
    return upkeep_new(&in->upkeep, tasks, in->geo != NULL ? 2 : 1, err);
}

static int open_rest(ingest_t *in, plumb_err_t *err)
{
    const plumb_conf_t *conf = in->conf;
    int rc = blocklists_new(&in->blocklists, in->readers, conf->ingest_cache, err);
    if (rc == 0)
        rc = intake_keys_new(&in->intake_keys, in->readers, conf->ingest_cache, err);
    if (rc == 0)
        rc = hear_changes(in, err);
    if (rc == 0)
        rc = redis_new(&in->redis, conf, err);
    if (rc == 0)
        rc = limits_new(&in->limits, in->redis, err);
    if (rc == 0)
        rc = geo_new(&in->geo, conf->geo_file, conf->geo_language, err);
    if (rc == 0)
        rc = start_upkeep(in, err);
    if (rc == 0)
        rc = strangers_new(&in->strangers, err);
    if (rc == 0)
        rc = running_new(&in->running, server_threads(conf), err);
    if (rc == 0)
        rc = workspaces_new(&in->workspaces, err);
    if (rc == 0)
        rc = handover_new(&in->handover, err);
    if (rc == 0)
        rc = committers_new(&in->committers, conf, err);
    if (rc == 0)
        rc = feed_new(&in->feed, conf, err);
    if (rc == 0)
        rc = link_new(&in->link, conf, in->handover, err);
    if (rc == 0)
        rc = server_new(&in->server, in, err);
    return rc;
}

static int read_rates(ingest_t *in, plumb_err_t *err)
{
    int rc = plumb_rate_parse(&in->rates.token, in->conf->limit_token, err);
    if (rc == 0)
        rc = plumb_rate_parse(&in->rates.account, in->conf->limit_account, err);
    return rc == 0 ? plumb_rate_parse(&in->rates.stranger, in->conf->limit_stranger, err) : rc;
}

int ingest_open(ingest_t *ingest, const plumb_conf_t *conf, plumb_err_t *err)
{
    ingest_t *in = ingest;
    in->conf = conf;
    zsys_init(); /* czmq's own start is none that two threads may make at once */
    int rc =
        plumb_cidr_list(conf->trusted_proxies, in->proxies, PLUMB_CIDRS_MAX, &in->proxy_count, err);
    if (rc == 0)
        rc = ip_filter_new(&in->filter, conf->allowed_ips, conf->denied_ips, err);
    if (rc == 0)
        rc = read_rates(in, err);
    if (rc == 0)
        rc = plumb_keyring_open(&in->keyring, conf->keys_dir, err);
    if (rc == 0)
        rc = plumb_vault_new(&in->vault, in->keyring, err);
    if (rc == 0)
        rc = store_init(&in->store, err);
    if (rc == 0)
        rc = change_store_init(&in->changes_sql, err);
    if (rc == 0)
        rc = readers_new(&in->readers, conf->database, (unsigned)conf->ingest_readers, err);
    if (rc == 0)
        rc = tokens_new(&in->tokens, in->keyring, in->readers, conf->ingest_cache,
                        conf->token_used_every, err);
    if (rc == 0)
        rc = catalog_new(&in->catalog, &in->store, in->readers, in->vault, conf->ingest_cache, err);
    if (rc == 0)
        rc = open_rest(in, err);
    return rc;
}

void ingest_close(ingest_t *ingest)
{
    ingest_t *in = ingest;
    feed_stop(in->feed);
    server_drain(in->server);
    if (!server_destroy(&in->server)) { /* mg_stop hangs now and then: all is answered, so leave */
        plumb_log_event(LOG_WARNING, "stop_hangs", "ends=process");
        _exit(EXIT_SUCCESS);
    }
    link_destroy(&in->link);
    feed_destroy(&in->feed);
    committers_destroy(&in->committers);
    handover_destroy(&in->handover);
    workspaces_destroy(&in->workspaces);
    running_destroy(&in->running);
    strangers_destroy(&in->strangers);
    upkeep_destroy(&in->upkeep);
    geo_destroy(&in->geo);
    limits_destroy(&in->limits);
    redis_destroy(&in->redis);
    changes_destroy(&in->changes);
    intake_keys_destroy(&in->intake_keys);
    blocklists_destroy(&in->blocklists);
    catalog_destroy(&in->catalog);
    if (in->tokens != NULL)
        tokens_write_used(in->tokens);
    tokens_destroy(&in->tokens);
    readers_destroy(&in->readers);
    change_store_fini(&in->changes_sql);
    store_fini(&in->store);
    plumb_vault_destroy(&in->vault);
    plumb_keyring_destroy(&in->keyring);
    ip_filter_release(&in->filter);
}
