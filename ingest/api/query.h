/* What a request's query asks for: filter, sort, fields, include, page. */
#ifndef INGEST_API_QUERY_H
#define INGEST_API_QUERY_H

#include "../document.h"
#include "buf.h"
#include "type.h"

#define API_CONDITIONS_MAX 16
#define API_VALUES_MAX 512
#define API_KEYS_MAX 4
#define API_PAGE_DEFAULT 50
#define API_PAGE_MAX 200

/* What is no row of the attribute table. */
#define API_ID (-1)     /* the resource's id */
#define API_SEARCH (-2) /* filter[search] */

typedef enum api_op { API_ANY, API_GTE, API_GT, API_LTE, API_LT } api_op_t;

typedef struct api_condition {
    int attr; /* row of the type's attributes, API_ID or API_SEARCH */
    api_op_t op;
    bool or_null;   /* ANY: also what has none */
    unsigned count; /* its values */
} api_condition_t;

typedef struct api_value {
    unsigned condition;
    size_t at, length; /* in texts; of TIME milliseconds in decimal, of UUID in lower case */
} api_value_t;

typedef struct api_key {
    int attr;
    bool descending;
} api_key_t;

typedef enum api_paging { API_CURSORS, API_NUMBERS } api_paging_t;

typedef struct api_page {
    api_paging_t paging;
    int64_t size, number; /* number: from 1 */
    size_t after, before; /* offset in texts of the cursor behind one byte; 0: none */
} api_page_t;

/* Zero-initialised; released by api_query_fini. */
typedef struct api_query {
    const api_type_t *type;
    api_condition_t conditions[API_CONDITIONS_MAX];
    unsigned condition_count;
    api_value_t values[API_VALUES_MAX];
    unsigned value_count;
    /* The order: these, then the id, which is in every order and behind which nothing counts. */
    api_key_t keys[API_KEYS_MAX];
    unsigned key_count;
    bool id_descending, id_named;
    uint64_t fields[API_TYPES]; /* bits of each type; all of them unless said */
    uint64_t include;           /* bits of its relations */
    bool attempts;              /* include=deliveries.attempts */
    api_page_t page;
    plumb_buf_t texts; /* owned */
    problems_t *problems;
} api_query_t;

/* What may be said besides fields and include. */
enum {
    API_MAY_LIST = 1,   /* filter, sort, page */
    API_MAY_FILTER = 2, /* filter, and nothing else: neither fields nor include */
    API_MAY_LANES = 4   /* filter, fields, page[size], and nothing else */
};

/* Read `query` (undecoded, may be NULL).  False: `problems` says what is wrong with it. */
bool api_query_read(api_query_t *q, const api_type_t *type, unsigned may, const char *query,
                    problems_t *problems);
void api_query_fini(api_query_t *q);

/* Add a condition: `attr` is `value`.  False: the query has one on it already, or no room. */
bool api_query_require(api_query_t *q, int attr, const char *value);

/* The condition on an attribute, or NULL. */
const api_condition_t *api_query_condition(const api_query_t *q, int attr, api_op_t op);

/* ---- inside ---- */

/* filter[...]: the rest of the parameter's name behind "filter". */
void api_filter_read(api_query_t *q, const char *parameter, const char *rest, const char *value);

/* Append `value` to texts in the form in which it is compared.  False: it is none of that type. */
bool api_value_read(api_query_t *q, const plumb_attr_t *attr, const char *value, size_t length);

void api_query_problem(api_query_t *q, const char *parameter, const char *detail);

/* Take "[name]" off `*rest`; its inside goes to `name`.  False: there is none. */
bool api_bracket(const char **rest, const char **name, size_t *length);

#endif
