/* JSON:API's rules of media types, and query parameters. */
#ifndef INGEST_NEGOTIATE_H
#define INGEST_NEGOTIATE_H

#include <stdbool.h>
#include <stddef.h>

#define JSONAPI_TYPE "application/vnd.api+json"

#define ATOMIC_EXT "https://jsonapi.org/ext/atomic"
#define ATOMIC_TYPE JSONAPI_TYPE ";ext=\"" ATOMIC_EXT "\""

/* May a body of this Content-Type (NULL: none given) be taken?  Only "profile" may stand behind the
 * type: no extension is spoken there. */
bool negotiate_body(const char *content_type);

/* Is one entry of this Accept value such that our answer fits?  Entries of JSON:API with a
 * parameter other than "profile" and "q" do not. */
bool negotiate_accept(const char *accept);

/* The same where the atomic operations extension is spoken, and nothing else. */
bool negotiate_body_atomic(const char *content_type);
bool negotiate_accept_atomic(const char *accept);

/* One parameter of a query, decoded. */
typedef struct query_parameter {
    char name[128];
    char value[6144];
} query_parameter_t;

/* Take the next parameter from `*query`, which moves behind it.  1: got one; 0: none is left; -1:
 * malformed escape or too long (`name` says which, as far as it was read). */
int query_next(const char **query, query_parameter_t *parameter);

/* Take the next element of a comma-separated list, without blanks.  False: none is left. */
bool list_next(const char **list, const char **item, size_t *length);

#endif
