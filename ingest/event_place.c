/* Places as text, which clients give back in Last-Event-ID. */
#include "event_place.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID_LENGTH (PLUMB_UUID_TEXT - 1)

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int event_place_compare(const event_place_t *a, const event_place_t *b)
{
    int by = order(a->xid, b->xid);
    if (by == 0)
        by = plumb_uuid_compare(&a->id, &b->id);
    return by != 0 ? by : order(a->n, b->n);
}

char *event_place_text(const event_place_t *place, char out[EVENT_PLACE_TEXT])
{
    char id[PLUMB_UUID_TEXT];
    if (plumb_uuid_is_nil(&place->id))
        snprintf(out, EVENT_PLACE_TEXT, "%" PRId64 ".%" PRId64, place->xid, place->at_ms);
    else
        snprintf(out, EVENT_PLACE_TEXT, "%" PRId64 ".%s.%" PRId32, place->xid,
                 plumb_uuid_text(&place->id, id), place->n);
    return out;
}

/* A number of at most `max` up to `end`, which it moves `*text` behind. */
static bool read_number(const char **text, char end, int64_t max, int64_t *number)
{
    char *stop;
    errno = 0;
    if (!isdigit((unsigned char)**text))
        return false;
    long long value = strtoll(*text, &stop, 10);
    if (errno != 0 || *stop != end || value > max)
        return false;
    *number = value;
    *text = stop + (end != '\0');
    return true;
}

bool event_place_parse(event_place_t *place, const char *text)
{
    int64_t n = 0;
    *place = (event_place_t){.n = 0};
    if (!read_number(&text, '.', INT64_MAX, &place->xid))
        return false;
    if (strlen(text) <= UUID_LENGTH)
        return read_number(&text, '\0', INT64_MAX, &place->at_ms);
    if (!plumb_uuid_parse(&place->id, text, UUID_LENGTH) || text[UUID_LENGTH] != '.')
        return false;
    text += UUID_LENGTH + 1;
    place->at_ms = plumb_uuid_unix_ms(&place->id);
    bool good = read_number(&text, '\0', INT32_MAX, &n);
    place->n = (int32_t)n;
    return good && !plumb_uuid_is_nil(&place->id);
}
