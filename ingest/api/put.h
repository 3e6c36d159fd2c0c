/* Resource objects. */
#ifndef INGEST_API_PUT_H
#define INGEST_API_PUT_H

#include "lead.h"
#include "type.h"

#define API_ALL_FIELDS UINT64_MAX

/* A resource to be written; what is pointed to is the caller's. */
typedef struct api_resource {
    const api_type_t *type;
    const char *id;
    const plumb_slice_t *value;   /* of each attribute, as lib/lead.h has them */
    const plumb_lead_t *lead;     /* instead of `value`, of a lead */
    const plumb_slice_t *derived; /* of each derived attribute: JSON */
    const plumb_slice_t *linkage; /* of each relation: of those to many the JSON array of who they
                                     are, or data NULL; NULL: of none of them */
    uint64_t fields;              /* bits of what is shown */
    const plumb_buf_t *cursor;    /* where it stands in a list; NULL: in none */
} api_resource_t;

/* Append the object. */
void api_put_resource(plumb_buf_t *out, const api_resource_t *resource);

/* Append {"type":…,"id":…} without its last brace. */
void api_put_name(plumb_buf_t *out, const api_type_t *type, const char *id);

/* Begin a member whose name is known to be plain: a comma unless it is the first. */
void api_put_member(plumb_buf_t *out, const char *name);

/* Append an attribute's value. */
void api_put_value(plumb_buf_t *out, const plumb_attr_t *attr, const plumb_slice_t *value);

#endif
