/* What a JSON:API document says of one resource, of whatever type. */
#ifndef INGEST_API_INPUT_H
#define INGEST_API_INPUT_H

#include "type.h"
#include "uuid.h"
#include "values.h"

/* What was added earlier in the same request, under a name of the client's. */
typedef struct api_lid {
    const api_type_t *type;
    uint32_t node; /* of the name, in the request's document */
    plumb_uuid_t id;
} api_lid_t;

/* The id of what was added under the name at node `lid`.  False: nothing was. */
bool api_lid_find(const api_lid_t *lids, size_t count, const api_type_t *type,
                  const plumb_json_t *json, uint32_t lid, plumb_uuid_t *id);

typedef struct api_input {
    const api_type_t *type;
    unsigned verb;   /* PLUMB_ATTR_CREATE or PLUMB_ATTR_UPDATE */
    unsigned scopes; /* of who gives it (token.h) */
    plumb_json_t *json;
    plumb_buf_t *texts;
    problems_t *problems;
    const char *at;        /* pointer to the resource object: "/data" */
    plumb_slice_t *value;  /* one for each row; those that are not given stay untouched */
    uint64_t given;        /* rows that the document names, null among them */
    const api_lid_t *lids; /* NULL: none, and no resource may be named so */
    size_t lid_count;
} api_input_t;

/* Read `body` into `json` and find its member "data", a resource object, whose node goes to
 * `data`.  False: there is none, and that is among the problems. */
bool api_input_document(const api_input_t *in, const plumb_buf_t *body, uint32_t *data);

/* Read the resource object at `data`: its type and, with UPDATE, its id, which must be `id`; then
 * every attribute, and relations to one, which stand for the attribute that holds their id.  What
 * is wrong with attributes are `problems`, all of them at once.  False: the object is none to speak
 * of, and further checks have nothing to look at. */
bool api_input_resource(api_input_t *in, uint32_t data, const plumb_uuid_t *id);

/* Was the row of this attribute given? */
bool api_input_has(const api_input_t *in, size_t row);

#endif
