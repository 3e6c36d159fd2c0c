/* What a quiz's owner may set (quizzes.settings), one row each: parser, checker, API and
 * documentation read these rows. */
#ifndef INGEST_QUIZ_SETTINGS_H
#define INGEST_QUIZ_SETTINGS_H

#include "json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of a lead of a person who is there already. */
typedef enum duplicate_policy {
    DUPLICATE_FLAG,
    DUPLICATE_REJECT,
    DUPLICATE_MERGE,
    DUPLICATE_ALLOW
} duplicate_policy_t;

/* How many of the keys must agree, and among which leads. */
typedef enum duplicate_mode { DUPLICATE_ANY, DUPLICATE_ALL } duplicate_mode_t;
typedef enum duplicate_scope {
    DUPLICATE_IN_PROJECT,
    DUPLICATE_IN_ACCOUNT,
    DUPLICATE_IN_CREDENTIAL
} duplicate_scope_t;

#define QUIZ_ITEMS_MAX 16

typedef struct quiz_list {
    size_t count;
    const char *item[QUIZ_ITEMS_MAX]; /* in memory of the settings, or constants */
} quiz_list_t;

typedef struct quiz_settings {
    bool phone_verification;
    int64_t duplicate_policy, duplicate_mode, duplicate_scope; /* of the enumerations above */
    quiz_list_t duplicate_keys; /* "phone", "email", "externalId", "data.<name>" */
    int64_t duplicate_window_minutes;
    int64_t identical_window_seconds; /* 0: off */
    int64_t client_per_minute;        /* 0: none */
    int64_t tests_per_day;            /* 0: none */
    bool blocklist, geo, normalise, payment;
    quiz_list_t origins;       /* "https://host[:port]", or "*" */
    const char *honeypot;      /* name of the field; NULL: none */
    const char *thank_you_url; /* NULL: none */
    char *memory;              /* owned */
} quiz_settings_t;

typedef enum quiz_setting_type {
    QUIZ_BOOL, /* bool */
    QUIZ_INT,  /* int64_t */
    QUIZ_WORD, /* int64_t, the word's index */
    QUIZ_TEXT, /* const char *; `max` bytes, which is_item takes */
    QUIZ_LIST  /* quiz_list_t of at most `max` texts, each of which is_item takes */
} quiz_setting_type_t;

typedef struct quiz_setting {
    const char *path; /* members of nested objects, joined by dots */
    quiz_setting_type_t type;
    size_t member;              /* offset in quiz_settings_t */
    int64_t standard, min, max; /* of WORD the standard is the first */
    const char *const *words;   /* ended by NULL; of WORD: all, of LIST: its default */
    bool (*is_item)(const char *text);
    const char *want; /* of TEXT and LIST: what is_item takes, for people */
    const char *help;
} quiz_setting_t;

/* All rows, and their count. */
const quiz_setting_t *quiz_setting_rows(size_t *count);

/* Told of each wrong or unknown setting: its path with dots, and what was wanted. */
typedef void quiz_complain_t(void *context, const char *path, const char *want);

/* All defaults; nothing is owned. */
void quiz_settings_default(quiz_settings_t *settings);

/* Read the object at `node`; what is wrong keeps its default and is told to `complain_to` (which
 * may be NULL).  Returns how many were wrong.  With `settings` NULL nothing is kept: a mere check.
 * `json` must be of plumb_json_read or plumb_json_read_stored.  Release with quiz_settings_fini. */
unsigned quiz_settings_read(quiz_settings_t *settings, const plumb_json_t *json, uint32_t node,
                            quiz_complain_t *complain_to, void *context);

/* The same for the text of a row.  Text that is no JSON counts as one wrong setting, path "". */
unsigned quiz_settings_parse(quiz_settings_t *settings, const char *text, size_t length,
                             quiz_complain_t *complain_to, void *context);

/* Release what `settings` holds.  Safe on zeroes. */
void quiz_settings_fini(quiz_settings_t *settings);

#endif
