/* Lanes: found by credential, kept for a while when idle, the longest idle closed first. */
#include "net_priv.h"

#include "clock.h"
#include "fields.h"
#include "unpack.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_MAX 64
#define IDLE_LIFE_MS 60000

static lane_t **bucket_of(net_t *net, const plumb_uuid_t *credential)
{
    uint64_t hash;
    memcpy(&hash, credential->b + 8, sizeof hash); /* the random half of the id */
    return &net->buckets[(hash ^ hash >> 32) & (LANE_BUCKETS - 1)];
}

static void leave_idle(lane_t *lane)
{
    net_t *net = lane->net;
    *(lane->idle_before != NULL ? &lane->idle_before->idle_next : &net->idle_first) =
        lane->idle_next;
    *(lane->idle_next != NULL ? &lane->idle_next->idle_before : &net->idle_last) =
        lane->idle_before;
    lane->idle_before = lane->idle_next = NULL;
    net->idle_count--;
}

static void enter_idle(lane_t *lane)
{
    net_t *net = lane->net;
    lane->idle_since_ms = plumb_mono_ms();
    lane->idle_before = net->idle_last;
    lane->idle_next = NULL;
    *(net->idle_last != NULL ? &net->idle_last->idle_next : &net->idle_first) = lane;
    net->idle_last = lane;
    net->idle_count++;
}

static void forget_fields(lane_t *lane)
{
    json_decref(lane->fields);
    lane->fields = NULL;
    redact_fini(&lane->redact);
    plumb_buf_wipe(&lane->raw);
    plumb_buf_fini(&lane->vetted);
}

static void destroy(lane_t *lane)
{
    while (lane->unused != NULL) {
        transfer_t *transfer = lane->unused;
        lane->unused = transfer->next;
        transfer_destroy(transfer);
    }
    curl_multi_cleanup(lane->multi);
    timers_unset(&lane->net->timers, &lane->due);
    for (size_t fd = 0; fd < lane->net->watch_count; fd++)
        if (lane->net->watches[fd].lane == lane)
            net_unwatch(lane->net, (int)fd);
    forget_fields(lane);
    free(lane);
}

static void remove_lane(lane_t *lane)
{
    lane_t **place = bucket_of(lane->net, &lane->credential);
    while (*place != lane)
        place = &(*place)->next;
    *place = lane->next;
    destroy(lane);
}

static lane_t *make(net_t *net, const plumb_uuid_t *credential)
{
    lane_t *lane = calloc(1, sizeof *lane);
    if (lane == NULL)
        return NULL;
    lane->net = net;
    lane->credential = *credential;
    lane->due.owner = lane;
    lane->multi = curl_multi_init();
    if (lane->multi == NULL || net_adopt(net, lane) != 0) {
        curl_multi_cleanup(lane->multi);
        free(lane);
        return NULL;
    }
    lane_t **bucket = bucket_of(net, credential);
    lane->next = *bucket;
    *bucket = lane;
    return lane;
}

lane_t *lane_hold(net_t *net, const plumb_uuid_t *credential)
{
    lane_t *lane = *bucket_of(net, credential);
    while (lane != NULL && plumb_uuid_compare(&lane->credential, credential) != 0)
        lane = lane->next;
    if (lane == NULL)
        lane = make(net, credential);
    else if (lane->refs == 0)
        leave_idle(lane);
    if (lane != NULL)
        lane->refs++;
    return lane;
}

void lane_release(lane_t *lane)
{
    if (lane != NULL && --lane->refs == 0)
        enter_idle(lane);
}

void lanes_expire(net_t *net, int64_t now_ms)
{
    while (net->idle_first != NULL && (net->idle_count > IDLE_MAX ||
                                       now_ms - net->idle_first->idle_since_ms >= IDLE_LIFE_MS)) {
        lane_t *lane = net->idle_first;
        leave_idle(lane);
        remove_lane(lane);
    }
}

void lanes_close(net_t *net)
{
    for (size_t i = 0; i < LANE_BUCKETS; i++) {
        for (lane_t *lane = net->buckets[i], *next; lane != NULL; lane = next) {
            next = lane->next;
            destroy(lane);
        }
    }
}

/* ---- fields ---- */

static void open_fields(lane_t *lane, const plugin_t *plugin, plumb_slice_t secrets)
{
    forget_fields(lane);
    json_t *given = unpack_json(secrets.data, secrets.length);
    lane->fields = fields_open(&plugin->lib.table, given, lane->why);
    json_decref(given);
    plumb_buf_put(&lane->raw, secrets.data, secrets.length);
    lane->generation = plugin->generation;
    if (lane->fields == NULL)
        return;
    /* What cannot be redacted is not used. */
    if (lane->raw.failed || fields_secrets(&plugin->lib.table, lane->fields, &lane->redact) != 0) {
        forget_fields(lane);
        strcpy(lane->why, "out of memory");
    }
}

json_t *lane_fields(lane_t *lane, const plugin_t *plugin, plumb_slice_t secrets, const char **why)
{
    bool same = lane->generation == plugin->generation && lane->raw.data != NULL &&
                lane->raw.length == secrets.length &&
                memcmp(lane->raw.data, secrets.data, secrets.length) == 0;
    if (!same)
        open_fields(lane, plugin, secrets);
    *why = lane->fields != NULL ? NULL : lane->why;
    return lane->fields;
}

const redact_t *lane_secrets(const lane_t *lane)
{
    return &lane->redact;
}

const char *lane_vet(lane_t *lane, const char *url, bool mail)
{
    if (lane->vetted.length > 0 && strcmp(lane->vetted.data, url) == 0)
        return NULL;
    plumb_buf_clear(&lane->vetted);
    const char *why = guard_url(&lane->net->guard, url, mail);
    if (why == NULL)
        plumb_buf_text(&lane->vetted, url);
    if (lane->vetted.failed)
        plumb_buf_clear(&lane->vetted);
    return why;
}
