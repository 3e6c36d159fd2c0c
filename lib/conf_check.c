/* Rules of configuration that one key's bounds cannot say. */
#include "conf.h"

#include "cidr.h"
#include "conf_units.h"
#include "count.h"
#include "rate.h"
#include "redis_url.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int plumb_conf_durations(const char *text, int64_t *out, size_t max, size_t *count,
                         plumb_err_t *err)
{
    *count = 0;
    for (const char *at = text;; at++) {
        while (is_blank(*at))
            at++;
        size_t whole = strcspn(at, ","), length = whole;
        while (length > 0 && is_blank(at[length - 1]))
            length--;
        if (*count == max)
            return plumb_err_set(err, PLUMB_E_CONFIG, "more than %zu times", max);
        if (!plumb_ms_parse(&out[*count], at, length) || out[*count] == 0)
            return plumb_err_set(err, PLUMB_E_CONFIG, "'%.*s', want a time such as 10s, 5m or 1h",
                                 (int)length, at);
        (*count)++;
        at += whole;
        if (*at == '\0')
            return 0;
    }
}

static int check_schedule(const char *key, const char *text, plumb_err_t *err)
{
    int64_t waits[PLUMB_CONF_SCHEDULE_MAX];
    size_t count;
    int rc = plumb_conf_durations(text, waits, PLUMB_CONF_SCHEDULE_MAX, &count, err);
    return rc < 0 ? plumb_err_add(err, "%s", key) : 0;
}

static int check_ranges(const char *key, const char *text, bool with_port, plumb_err_t *err)
{
    plumb_cidr_t ranges[PLUMB_CIDRS_MAX];
    size_t count;
    int rc = plumb_cidr_list(text, ranges, PLUMB_CIDRS_MAX, &count, err);
    if (rc < 0)
        return plumb_err_add(err, "%s", key);
    for (size_t i = 0; i < count && !with_port; i++)
        if (ranges[i].port != 0)
            return plumb_err_set(err, PLUMB_E_CONFIG, "%s: range %zu names port %d, want none", key,
                                 i + 1, ranges[i].port);
    return 0;
}

static int check_rate(const char *key, const char *text, plumb_err_t *err)
{
    plumb_rate_t rate;
    int rc = plumb_rate_parse(&rate, text, err);
    return rc < 0 ? plumb_err_add(err, "%s", key) : 0;
}

/* The server would take more forms: names, bare ports, and ports marked 's' (TLS) or 'r'
 * (redirect), on which its first client ends the process.  So it gets an IPv4 address and digits.
 */
static int check_listen(const char *text, plumb_err_t *err)
{
    char host[INET_ADDRSTRLEN] = "";
    struct in_addr address;
    int64_t port;
    const char *colon = strrchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof host)
        memcpy(host, text, (size_t)(colon - text));
    if (colon == NULL || inet_pton(AF_INET, host, &address) != 1)
        return plumb_err_set(err, PLUMB_E_CONFIG,
                             "ingest.listen: '%s', want an IPv4 address and a port such as "
                             "127.0.0.1:8080",
                             text);
    if (!plumb_int_parse(&port, colon + 1, strlen(colon + 1)) || port < 0 || port > 65535)
        return plumb_err_set(err, PLUMB_E_CONFIG,
                             "ingest.listen: port '%s', want 0 to 65535 and nothing behind it "
                             "(TLS is for the proxy in front)",
                             colon + 1);
    return 0;
}

static int check_development(const plumb_conf_t *conf, plumb_err_t *err)
{
    const char *key = conf->connect_to[0] != '\0' ? "worker.connect_to"
                      : conf->ca_file[0] != '\0'  ? "worker.ca_file"
                                                  : NULL;
    if (key == NULL || conf->development)
        return 0;
    return plumb_err_set(err, PLUMB_E_CONFIG, "%s: only with development = true", key);
}

/* A heartbeat must come more often than its loss is declared, a worker that was cut off must stop
 * before its work is given away, and a replaced key must outlive the memory of daemons. */
static int check_times(const plumb_conf_t *conf, plumb_err_t *err)
{
    const struct {
        const char *shorter, *longer;
        int64_t shorter_ms, longer_ms;
    } pairs[] = {
        {"worker.ping_every", "worker.fence", conf->ping_every, conf->fence},
        {"worker.fence", "broker.worker_dead", conf->fence, conf->worker_dead},
        {"broker.beacon_every", "broker.epoch_dead", conf->beacon_every, conf->epoch_dead},
        {"ingest.cache and 15s", "keys.linger", conf->ingest_cache + 15000, conf->keys_linger},
    };
    for (size_t i = 0; i < PLUMB_COUNT(pairs); i++)
        if (pairs[i].shorter_ms >= pairs[i].longer_ms)
            return plumb_err_set(
                err, PLUMB_E_CONFIG, "%s: %" PRId64 "ms, want less than %s (%" PRId64 "ms)",
                pairs[i].shorter, pairs[i].shorter_ms, pairs[i].longer, pairs[i].longer_ms);
    return 0;
}

static int check_lists(const plumb_conf_t *conf, plumb_err_t *err)
{
    const struct {
        const char *key, *text;
        bool with_port;
    } lists[] = {{"ingest.trusted_proxies", conf->trusted_proxies, false},
                 {"ingest.allowed_ips", conf->allowed_ips, false},
                 {"ingest.denied_ips", conf->denied_ips, false},
                 {"egress.allow", conf->egress_allow, true}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < PLUMB_COUNT(lists); i++)
        rc = check_ranges(lists[i].key, lists[i].text, lists[i].with_port, err);
    return rc;
}

static int check_rates(const plumb_conf_t *conf, plumb_err_t *err)
{
    int rc = check_rate("limits.token", conf->limit_token, err);
    if (rc == 0)
        rc = check_rate("limits.account", conf->limit_account, err);
    return rc == 0 ? check_rate("limits.stranger", conf->limit_stranger, err) : rc;
}

static int check_redis(const char *text, plumb_err_t *err)
{
    plumb_redis_url_t url;
    int rc = text[0] == '\0' ? 0 : plumb_redis_url_parse(&url, text, err);
    return rc < 0 ? plumb_err_add(err, "redis.url") : 0;
}

int plumb_conf_check(const plumb_conf_t *conf, plumb_err_t *err)
{
    int rc = check_development(conf, err);
    if (rc == 0)
        rc = check_listen(conf->ingest_listen, err);
    if (rc == 0)
        rc = check_lists(conf, err);
    if (rc == 0)
        rc = check_rates(conf, err);
    if (rc == 0)
        rc = check_redis(conf->redis_url, err);
    if (rc == 0)
        rc = check_schedule("retry.schedule", conf->retry_schedule, err);
    if (rc == 0)
        rc = check_schedule("retry.schedule_mail", conf->retry_schedule_mail, err);
    if (rc == 0)
        rc = check_times(conf, err);
    return rc;
}
