/* UUIDs, version 7 (RFC 9562): 48 bits of milliseconds, a 12-bit counter, 62 random bits. */
#include "uuid.h"

#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define COUNTER_MAX 0xFFFU
#define COUNTER_START 0x7FFU /* random up to this: room for 2,048 ids a millisecond */
#define POOL_BYTES 256       /* what getrandom gives whole, never interrupted */

/* One series of ids: the last moment used and the counter within it. */
typedef struct series {
    int64_t ms;
    unsigned counter;
} series_t;

/* Each thread's own, so that an id costs no lock and hardly a system call. */
static _Thread_local struct {
    series_t clock;  /* plumb_uuid_new */
    series_t caller; /* plumb_uuid_at */
    size_t left;     /* random bytes not used yet */
    uint8_t pool[POOL_BYTES];
} ids;

static void take_random(void *out, size_t length)
{
    if (ids.left < length) {
        while (getrandom(ids.pool, POOL_BYTES, 0) < 0)
            if (errno != EINTR) /* no kernel of ours refuses; without chance no id is safe */
                abort();
        ids.left = POOL_BYTES;
    }
    ids.left -= length;
    memcpy(out, ids.pool + ids.left, length);
}

static void series_begin(series_t *series, int64_t ms)
{
    uint16_t random;
    take_random(&random, sizeof random);
    series->ms = ms;
    series->counter = random & COUNTER_START;
}

static plumb_uuid_t series_id(const series_t *series)
{
    plumb_uuid_t id;
    uint64_t ms = (uint64_t)series->ms;
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.b[6] = (uint8_t)(0x70 | series->counter >> 8);
    id.b[7] = (uint8_t)series->counter;
    take_random(id.b + 8, 8);
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3F));
    return id;
}

plumb_uuid_t plumb_uuid_new(void)
{
    series_t *series = &ids.clock;
    int64_t now = plumb_wall_ms();
    if (now > series->ms)
        series_begin(series, now);
    else if (series->counter < COUNTER_MAX)
        series->counter++;
    else
        series_begin(series, series->ms + 1); /* runs ahead of the clock until it catches up */
    return series_id(series);
}

plumb_uuid_t plumb_uuid_at(int64_t unix_ms)
{
    series_t *series = &ids.caller;
    if (unix_ms == series->ms && series->counter < COUNTER_MAX)
        series->counter++;
    else
        series_begin(series, unix_ms);
    return series_id(series);
}

/* Where each byte's two digits stand in the text. */
static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

char *plumb_uuid_text(const plumb_uuid_t *id, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[places[i]] = digits[id->b[i] >> 4];
        out[places[i] + 1] = digits[id->b[i] & 15];
    }
    out[8] = out[13] = out[18] = out[23] = '-';
    out[PLUMB_UUID_TEXT - 1] = '\0';
    return out;
}

/* The value of a hexadecimal digit plus one; 0: it is none. */
static const uint8_t hex[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16};

bool plumb_uuid_parse(plumb_uuid_t *id, const char *text, size_t length)
{
    plumb_uuid_t got;
    if (length != PLUMB_UUID_TEXT - 1 || text[8] != '-' || text[13] != '-' || text[18] != '-' ||
        text[23] != '-')
        return false;
    for (int i = 0; i < 16; i++) {
        unsigned high = hex[(unsigned char)text[places[i]]];
        unsigned low = hex[(unsigned char)text[places[i] + 1]];
        if (high == 0 || low == 0)
            return false;
        got.b[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    *id = got;
    return true;
}

bool plumb_uuid_is_nil(const plumb_uuid_t *id)
{
    static const plumb_uuid_t nil;
    return memcmp(id, &nil, sizeof nil) == 0;
}

int plumb_uuid_compare(const plumb_uuid_t *a, const plumb_uuid_t *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

int64_t plumb_uuid_unix_ms(const plumb_uuid_t *id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id->b[i];
    return ms;
}
