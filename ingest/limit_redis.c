/* GCRA as a script.  Arrival times are microseconds of Redis's own clock, kept as decimal text: 53
 * bits of a Lua number hold them until the year 2255, but only %.0f writes all of their digits. */
#include "limit_redis.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMITS_MAX 4
#define KEY_TEXT 64
#define NUMBER_TEXT 24
#define SHA_TEXT 41

/* KEYS: one a limit.  ARGV: "take" or "give", then interval and tolerance of each.  Returns how far
 * each arrival time would be ahead with one more request. */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local function put(key, ahead)\n"
    "  redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))\n"
    "end\n"
    "local ahead, allowed = {}, true\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local interval, most = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])\n"
    "  local was = tonumber(redis.call('GET', key) or '0') - now\n"
    "  if ARGV[1] == 'give' then\n"
    "    if was > interval then put(key, was - interval) else redis.call('DEL', key) end\n"
    "  end\n"
    "  ahead[i] = math.max(0, math.min(was, most)) + interval\n"
    "  allowed = allowed and ahead[i] <= most\n"
    "end\n"
    "if allowed and ARGV[1] == 'take' then\n"
    "  for i, key in ipairs(KEYS) do put(key, ahead[i]) end\n"
    "end\n"
    "return ahead\n";

struct limit_redis {
    redis_t *redis;
    pthread_mutex_t lock;
    char sha[SHA_TEXT]; /* the script's name in Redis; "": not known yet */
};

int limit_redis_new(limit_redis_t **ret, redis_t *redis, plumb_err_t *err)
{
    limit_redis_t *l = calloc(1, sizeof *l);
    *ret = l;
    if (l == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "rate limits");
    l->redis = redis;
    pthread_mutex_init(&l->lock, NULL);
    return 0;
}

void limit_redis_destroy(limit_redis_t **limits)
{
    if (*limits == NULL)
        return;
    pthread_mutex_destroy(&(*limits)->lock);
    free(*limits);
    *limits = NULL;
}

/* ---- the script's name ---- */

/* Give the script to Redis, which answers with its name. */
static bool load(limit_redis_t *l)
{
    const char *words[] = {"SCRIPT", "LOAD", script};
    redisReply *reply = redis_run(l->redis, 3, words, NULL);
    bool good = reply != NULL && reply->type == REDIS_REPLY_STRING &&
                (size_t)reply->len == sizeof l->sha - 1;
    pthread_mutex_lock(&l->lock);
    if (good)
        memcpy(l->sha, reply->str, sizeof l->sha);
    pthread_mutex_unlock(&l->lock);
    freeReplyObject(reply);
    return good;
}

static bool name_of_script(limit_redis_t *l, char sha[SHA_TEXT])
{
    for (int try = 0; try < 2; try++) {
        pthread_mutex_lock(&l->lock);
        memcpy(sha, l->sha, SHA_TEXT);
        pthread_mutex_unlock(&l->lock);
        if (sha[0] != '\0')
            return true;
        if (!load(l))
            return false;
    }
    return false;
}

/* ---- one request ---- */

typedef struct call {
    char sha[SHA_TEXT], keys[LIMITS_MAX][KEY_TEXT], numbers[2 * LIMITS_MAX + 1][NUMBER_TEXT];
    const char *words[4 + 3 * LIMITS_MAX];
    int count;
} call_t;

static void add_key(call_t *call, unsigned i, const limit_t *limit)
{
    char hex[2 * sizeof limit->subject + 1];
    sodium_bin2hex(hex, sizeof hex, limit->subject, sizeof limit->subject);
    snprintf(call->keys[i], KEY_TEXT, "plumb:limit:%s:%s", limit_name(limit->kind), hex);
    call->words[call->count++] = call->keys[i];
}

static void add_number(call_t *call, unsigned i, int64_t number)
{
    snprintf(call->numbers[i], NUMBER_TEXT, "%" PRId64, number);
    call->words[call->count++] = call->numbers[i];
}

static void make_call(call_t *call, const char *verb, const limit_t *list, unsigned count)
{
    call->words[0] = "EVALSHA";
    call->words[1] = call->sha;
    call->count = 2;
    add_number(call, 2 * LIMITS_MAX, count);
    for (unsigned i = 0; i < count; i++)
        add_key(call, i, &list[i]);
    call->words[call->count++] = verb;
    for (unsigned i = 0; i < count; i++) {
        add_number(call, 2 * i, limit_interval_us(&list[i].rate));
        add_number(call, 2 * i + 1, limit_tolerance_us(&list[i].rate));
    }
}

/* What is no array is an error, and would be the next time. */
static redisReply *want_array(limit_redis_t *l, redisReply *reply, unsigned count)
{
    if (reply == NULL || (reply->type == REDIS_REPLY_ARRAY && reply->elements == count))
        return reply;
    redis_distrust(l->redis, reply->type == REDIS_REPLY_ERROR ? reply->str : "odd answer");
    freeReplyObject(reply);
    return NULL;
}

/* A Redis that was emptied or replaced does not know the script any more: it is given again. */
static redisReply *run(limit_redis_t *l, const char *verb, const limit_t *list, unsigned count)
{
    call_t call;
    redisReply *reply = NULL;
    if (count > LIMITS_MAX || !name_of_script(l, call.sha))
        return NULL;
    make_call(&call, verb, list, count);
    reply = redis_run(l->redis, call.count, call.words, NULL);
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
        strncmp(reply->str, "NOSCRIPT", 8) == 0) {
        freeReplyObject(reply);
        reply = load(l) ? redis_run(l->redis, call.count, call.words, NULL) : NULL;
    }
    return want_array(l, reply, count);
}

bool limit_redis_take(limit_redis_t *limits, const limit_t *list, unsigned count,
                      limit_state_t *state)
{
    redisReply *reply = run(limits, "take", list, count);
    *state = (limit_state_t){.is_shared = true};
    for (unsigned i = 0; reply != NULL && i < count; i++)
        limit_judge(state, &list[i], reply->element[i]->integer);
    bool good = reply != NULL;
    freeReplyObject(reply);
    return good;
}

void limit_redis_give(limit_redis_t *limits, const limit_t *list, unsigned count)
{
    freeReplyObject(run(limits, "give", list, count));
}
