/* The rows of conf_keys.h as data, for what loops over all keys. */
#ifndef PLUMB_CONF_TABLE_H
#define PLUMB_CONF_TABLE_H

#include "conf.h"

#include <stddef.h>

typedef enum plumb_conf_kind {
    PLUMB_CONF_IS_TEXT,
    PLUMB_CONF_IS_INT,
    PLUMB_CONF_IS_MS,
    PLUMB_CONF_IS_SIZE,
    PLUMB_CONF_IS_BOOL
} plumb_conf_kind_t;

typedef struct plumb_conf_key {
    const char *name, *help;
    plumb_conf_kind_t kind;
    size_t offset;    /* of the member in plumb_conf_t */
    const char *text; /* default of a TEXT */
    int64_t number;   /* default of the others */
    int64_t min, max; /* of INT, MS, SIZE */
} plumb_conf_key_t;

enum {
#define PLUMB_CONF_TEXT(member, key, initial, help) PLUMB_CONF_KEY_##member,
#define PLUMB_CONF_INT(member, key, initial, min, max, help) PLUMB_CONF_KEY_##member,
#define PLUMB_CONF_MS(member, key, initial, min, max, help) PLUMB_CONF_KEY_##member,
#define PLUMB_CONF_SIZE(member, key, initial, min, max, help) PLUMB_CONF_KEY_##member,
#define PLUMB_CONF_BOOL(member, key, initial, help) PLUMB_CONF_KEY_##member,
#include "conf_keys.h"
#undef PLUMB_CONF_TEXT
#undef PLUMB_CONF_INT
#undef PLUMB_CONF_MS
#undef PLUMB_CONF_SIZE
#undef PLUMB_CONF_BOOL
    PLUMB_CONF_KEYS
};

extern const plumb_conf_key_t plumb_conf_keys[PLUMB_CONF_KEYS];

/* The row of a name of `length` bytes, or NULL. */
const plumb_conf_key_t *plumb_conf_key_find(const char *name, size_t length);

/* The row whose name is most like a misspelt one, or NULL when none is near. */
const plumb_conf_key_t *plumb_conf_key_like(const char *name, size_t length);

/* The key's member in `conf`: a char *, bool or int64_t. */
const void *plumb_conf_value(const plumb_conf_t *conf, const plumb_conf_key_t *key);

/* A number in the form that is read.  `out` holds PLUMB_UNIT_TEXT; returns `out`. */
char *plumb_conf_number_text(const plumb_conf_key_t *key, int64_t value, char *out);

#endif
