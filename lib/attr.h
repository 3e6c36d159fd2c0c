/* Attributes of the API's resources, one row each: what is parsed, stored, answered, filtered,
 * sorted by, documented and tested is read from such rows. */
#ifndef PLUMB_ATTR_H
#define PLUMB_ATTR_H

typedef enum plumb_attr_type {
    PLUMB_ATTR_UUID,
    PLUMB_ATTR_TEXT,
    PLUMB_ATTR_CUT, /* text, cut to its limit at a character boundary */
    PLUMB_ATTR_PHONE,
    PLUMB_ATTR_EMAIL,
    PLUMB_ATTR_IP,
    PLUMB_ATTR_WORD, /* one of `words` */
    PLUMB_ATTR_BOOL,
    PLUMB_ATTR_INT,   /* int64 */
    PLUMB_ATTR_JSON,  /* object or array, as JSON text */
    PLUMB_ATTR_TIME,  /* ISO 8601 with milliseconds, UTC */
    PLUMB_ATTR_WORDS, /* array of texts, each one of `words` */
    PLUMB_ATTR_CIDRS  /* array of addresses and prefixes */
} plumb_attr_type_t;

enum {
    PLUMB_ATTR_CREATE = 1, /* who creates may give it */
    PLUMB_ATTR_UPDATE = 2, /* who changes may give it */
    PLUMB_ATTR_NEEDED = 4,
    PLUMB_ATTR_SEALED = 8, /* personal: kept only inside a sealed frame, never logged */
    PLUMB_ATTR_FILTER = 16,
    PLUMB_ATTR_SORT = 32,
    PLUMB_ATTR_CHANNEL = 64,  /* channels see it */
    PLUMB_ATTR_OPERATE = 128, /* only who may operate or administer may give it */
    PLUMB_ATTR_SECRET = 256   /* may be given, is never answered */
};

typedef struct plumb_attr {
    const char *name, *column; /* what the API and what SQL call it */
    plumb_attr_type_t type;
    unsigned max; /* bytes of UTF-8 (text) or JSON; the largest value (INT) */
    unsigned flags;
    const char *help;
    const char *const *words; /* ended by NULL, of WORD and WORDS; else NULL */
} plumb_attr_t;

/* The attribute's word that equals `text`, or NULL. */
const char *plumb_attr_word(const plumb_attr_t *attr, const char *text, unsigned long length);

#endif
