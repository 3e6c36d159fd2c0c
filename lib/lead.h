/* A lead, as one array of values that follows the attribute table (lead_attrs.h). */
#ifndef PLUMB_LEAD_H
#define PLUMB_LEAD_H

#include "attr.h"
#include "buf.h"
#include "db.h"
#include "err.h"
#include "json.h"
#include "msg.h"
#include "seal.h"
#include "uuid.h"

#include <stdbool.h>

typedef enum plumb_lead_attr {
#define PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help) PLUMB_LEAD_##id,
#include "lead_attrs.h"
#undef PLUMB_LEAD_ATTR
    PLUMB_LEAD_ATTRS
} plumb_lead_attr_t;

extern const plumb_attr_t plumb_lead_attrs[PLUMB_LEAD_ATTRS];

/* The row of an attribute by its API name, or -1. */
int plumb_lead_attr_find(const char *name, size_t length);

/* Values are text: UUIDs and times in their text form, booleans "true" or "false", JSON as JSON
 * text. data == NULL: not set (SQL NULL, JSON null).  Slices are borrowed from whoever filled the
 * lead. */
typedef struct plumb_lead {
    plumb_uuid_t id, account;
    int64_t version;
    plumb_slice_t value[PLUMB_LEAD_ATTRS];
} plumb_lead_t;

/* Pack the SEALED attributes into the frame's plaintext, and fill them back from it (slices into
 * `plain`). */
int plumb_lead_personal_pack(plumb_buf_t *out, const plumb_lead_t *lead, plumb_err_t *err);
int plumb_lead_personal_unpack(plumb_lead_t *lead, const void *plain, size_t length,
                               plumb_err_t *err);

/* The lead as channels see it: a msgpack map {"id", every CHANNEL attribute that is set}; JSON
 * attributes become msgpack values, booleans booleans.  `document` is what was read of the text
 * that the JSON attributes are slices of; NULL: each is read here. */
int plumb_lead_body_pack(plumb_buf_t *out, const plumb_lead_t *lead, const plumb_json_t *document,
                         plumb_err_t *err);

/* Append the JSON object of all attributes (null where not set) in table order. */
void plumb_lead_attributes_json(plumb_buf_t *out, const plumb_lead_t *lead);

/* "account_id, id, version, sealed_key, sealed, user_id, …" for SELECT: the fixed columns as they
 * are, then the unsealed attributes in table order, each as the text that `value` holds;
 * PLUMB_LEAD_COLUMNS of them.  `alias` such as "l". */
#define PLUMB_LEAD_COLUMNS_FIXED 5
#define PLUMB_LEAD_ATTRS_SEALED 4
#define PLUMB_LEAD_COLUMNS (PLUMB_LEAD_COLUMNS_FIXED + PLUMB_LEAD_ATTRS - PLUMB_LEAD_ATTRS_SEALED)
void plumb_lead_select_list(plumb_buf_t *out, const char *alias);

/* Fill `lead` from row `row` of such a SELECT, whose first column of it is `column`; slices point
 * into `r`. The wrapped data key and the sealed frame go to `sealed_key` and `sealed` (data NULL
 * when erased). */
void plumb_lead_from_row(plumb_lead_t *lead, const PGresult *r, int row, int column,
                         plumb_slice_t *sealed_key, plumb_slice_t *sealed);

/* Places that bind the frames of a lead (see seal.h). */
plumb_seal_place_t plumb_lead_place_key(const plumb_uuid_t *account, const plumb_uuid_t *lead);
plumb_seal_place_t plumb_lead_place_personal(const plumb_uuid_t *account, const plumb_uuid_t *lead);
plumb_seal_place_t plumb_lead_place_exchange(const plumb_uuid_t *account,
                                             const plumb_uuid_t *delivery);
plumb_seal_place_t plumb_credential_place(const plumb_uuid_t *account,
                                          const plumb_uuid_t *credential);

#endif
