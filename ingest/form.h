/* What a page sends: fields of a form or members of a JSON object, and the JSON:API document that
 * is made of them, so that leads of any form go through the same checks. */
#ifndef INGEST_FORM_H
#define INGEST_FORM_H

#include "buf.h"
#include "err.h"
#include "json.h"
#include "msg.h"
#include "uuid.h"

#include <stdbool.h>
#include <stddef.h>

#define FORM_FIELDS_MAX 256
#define FORM_NAME_MAX 128

typedef struct form_field {
    plumb_slice_t name, value;
    bool is_json; /* the value is JSON text, else plain text */
    bool is_done; /* written already */
} form_field_t;

/* Points into what was read. */
typedef struct form {
    form_field_t fields[FORM_FIELDS_MAX];
    size_t count;
} form_t;

typedef enum form_type { FORM_NONE, FORM_JSON, FORM_URLENCODED, FORM_MULTIPART } form_type_t;

/* The media type of a Content-Type header; NULL and others: NONE. */
form_type_t form_type(const char *content_type);

/* Read the body; URLENCODED is decoded in place.  `json` is memory for JSON, and must live as long
 * as the fields.  Files are left out.  BAD_JSON, BAD_DOCUMENT, BAD_REQUEST say what is wrong. */
int form_read(form_t *form, form_type_t type, const char *content_type, plumb_buf_t *body,
              plumb_json_t *json, plumb_err_t *err);
/* The fields of a multipart body behind form_read. */
int form_read_multipart(form_t *form, const char *content_type, const plumb_buf_t *body,
                        plumb_err_t *err);

/* Add a field.  BAD_DOCUMENT: too many, a name that is too long, text that is no UTF-8. */
int form_add(form_t *form, plumb_slice_t name, plumb_slice_t value, bool is_json, plumb_err_t *err);

/* Is there a field of this name with any value? */
bool form_is_filled(const form_t *form, const char *name);

/* Whom the lead is for, and what is known without the form. */
typedef struct form_frame {
    const plumb_uuid_t *user, *project, *quiz; /* `quiz` NULL: the fields say all three */
    const char *address;  /* instead of the form's ipAddress; NULL: the form may say it */
    const char *honeypot; /* a field that is left out; NULL: none */
} form_frame_t;

/* Write the document.  Fields are attributes by name or column ("utmSource", "utm_source"), empty
 * ones none; all others become members of `data`, several of one name an array. */
void form_document(form_t *form, const form_frame_t *frame, plumb_buf_t *out);

#endif
