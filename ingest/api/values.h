/* Attributes of a document, each read by its row of the table. */
#ifndef INGEST_API_VALUES_H
#define INGEST_API_VALUES_H

#include "attr.h"
#include "document.h"
#include "json.h"
#include "msg.h"

/* Where values come from and go to. */
typedef struct values_reading {
    const plumb_json_t *json;
    plumb_buf_t *texts; /* made large enough by values_room: what points into it stays */
    problems_t *problems;
    const char *at; /* pointer to the resource object: "/data" */
} values_reading_t;

/* Make room in `texts` for all that a document of `length` bytes may need, for its normal forms as
 * well.  False: no memory. */
bool values_room(plumb_buf_t *texts, size_t length);

/* Append to `texts`. */
plumb_slice_t values_keep(plumb_buf_t *texts, const char *data, size_t length);

/* Read the value at `node`: text in a spelling that is the same for equal values, "true", "false",
 * digits, JSON text of JSON, WORDS and CIDRS; data NULL for null and for what is wrong, which is
 * complained of. */
void values_read(const values_reading_t *r, const plumb_attr_t *attr, plumb_slice_t *value,
                 uint32_t node);

/* Add a problem with the attribute `name`, pointing at it. */
void values_complain(problems_t *problems, const char *at, plumb_code_t code, const char *name,
                     const char *detail);

void values_too_long(problems_t *problems, const char *at, const plumb_attr_t *attr);

/* "<at>/attributes/<name>" in `out`, escaped as RFC 6901 wants it. */
#define POINTER_MAX 384
void values_pointer(char out[POINTER_MAX], const char *at, const char *name);

#endif
