/* /readyz: each part by name, and how it is. */
#include "clock.h"
#include "count.h"
#include "ingest.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

static int ask_database(ingest_t *in, plumb_err_t *err)
{
    return committers_ready(in->committers, err);
}

static int ask_broker(ingest_t *in, plumb_err_t *err)
{
    if (handover_is_fresh(in->handover, plumb_mono_ms()))
        return 0;
    plumb_log_event(LOG_DEBUG, "no_beacon", "leads=wait_for_the_tracker");
    return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                         "no beacon is heard: leads wait for the tracker");
}

/* What a part says that is not configured. */
static const char off[] = "off";

static int ask_redis(ingest_t *in, plumb_err_t *err)
{
    if (in->redis == NULL)
        return plumb_err_set(err, PLUMB_OK, off);
    if (redis_is_here(in->redis, err))
        return 0;
    return plumb_err_add(err, "limits hold in this process alone");
}

static int ask_geo(ingest_t *in, plumb_err_t *err)
{
    if (in->geo == NULL)
        return plumb_err_set(err, PLUMB_OK, off);
    return geo_is_here(in->geo, err) ? 0 : -PLUMB_E_UNAVAILABLE;
}

static const struct {
    const char *name;
    bool is_needed; /* without it no lead can be taken */
    int (*ask)(ingest_t *in, plumb_err_t *err);
} parts[] = {{"database", true, ask_database},
             {"broker", false, ask_broker},
             {"redis", false, ask_redis},
             {"geo", false, ask_geo}};

int ingest_ready(void *self, plumb_err_t *err)
{
    ingest_t *in = self;
    plumb_code_t missing = PLUMB_OK;
    char text[PLUMB_ERR_TEXT_MAX];
    size_t length = 0;
    for (size_t i = 0; i < PLUMB_COUNT(parts); i++) {
        plumb_err_t why = {.text = "ok"};
        int rc = parts[i].ask(in, &why);
        if (rc < 0 && parts[i].is_needed)
            missing = why.code;
        int n = snprintf(text + length, sizeof text - length, "%s%s: %s", i > 0 ? "\n" : "",
                         parts[i].name, why.text);
        length += n > 0 && (size_t)n < sizeof text - length ? (size_t)n : 0;
    }
    plumb_err_fill(err, missing, "%s", text);
    return plumb_err_return(missing);
}
