/* The configuration's table. */
#include "conf_table.h"

#include "conf_units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define AT(member) offsetof(plumb_conf_t, member)
const plumb_conf_key_t plumb_conf_keys[PLUMB_CONF_KEYS] = {
#define PLUMB_CONF_TEXT(member, key, initial, help) \
    {key, help, PLUMB_CONF_IS_TEXT, AT(member), initial, 0, 0, 0},
#define PLUMB_CONF_INT(member, key, initial, min, max, help) \
    {key, help, PLUMB_CONF_IS_INT, AT(member), NULL, initial, min, max},
#define PLUMB_CONF_MS(member, key, initial, min, max, help) \
    {key, help, PLUMB_CONF_IS_MS, AT(member), NULL, initial, min, max},
#define PLUMB_CONF_SIZE(member, key, initial, min, max, help) \
    {key, help, PLUMB_CONF_IS_SIZE, AT(member), NULL, initial, min, max},
#define PLUMB_CONF_BOOL(member, key, initial, help) \
    {key, help, PLUMB_CONF_IS_BOOL, AT(member), NULL, initial, 0, 1},
#include "conf_keys.h"
#undef PLUMB_CONF_TEXT
#undef PLUMB_CONF_INT
#undef PLUMB_CONF_MS
#undef PLUMB_CONF_SIZE
#undef PLUMB_CONF_BOOL
};
/* clang-format on */

const plumb_conf_key_t *plumb_conf_key_find(const char *name, size_t length)
{
    for (size_t i = 0; i < PLUMB_CONF_KEYS; i++) {
        const plumb_conf_key_t *key = &plumb_conf_keys[i];
        if (strlen(key->name) == length && memcmp(key->name, name, length) == 0)
            return key;
    }
    return NULL;
}

#define NAME_MAX_LIKE 64 /* longer names are like none */
#define NEAR 3           /* edits, a transposition counts as two */

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions and changes between two names, both shorter than NAME_MAX_LIKE. */
static unsigned edits(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned row[NAME_MAX_LIKE + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(change, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_length];
}

const plumb_conf_key_t *plumb_conf_key_like(const char *name, size_t length)
{
    const plumb_conf_key_t *best = NULL;
    unsigned least = NEAR + 1;
    for (size_t i = 0; i < PLUMB_CONF_KEYS && length < NAME_MAX_LIKE; i++) {
        const char *known = plumb_conf_keys[i].name;
        unsigned distance = edits(name, length, known, strlen(known));
        if (distance < least) {
            least = distance;
            best = &plumb_conf_keys[i];
        }
    }
    return best;
}

const void *plumb_conf_value(const plumb_conf_t *conf, const plumb_conf_key_t *key)
{
    return (const char *)conf + key->offset;
}

char *plumb_conf_number_text(const plumb_conf_key_t *key, int64_t value, char *out)
{
    if (key->kind == PLUMB_CONF_IS_MS)
        return plumb_ms_text(value, out);
    if (key->kind == PLUMB_CONF_IS_SIZE)
        return plumb_size_text(value, out);
    snprintf(out, PLUMB_UNIT_TEXT, "%" PRId64, value);
    return out;
}
