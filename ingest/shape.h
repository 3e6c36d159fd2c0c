/* From a JSON:API document to a lead: shape and attribute table. */
#ifndef INGEST_SHAPE_H
#define INGEST_SHAPE_H

#include "api/values.h"
#include "buf.h"
#include "document.h"
#include "json.h"
#include "lead.h"

#include <stdbool.h>

/* Read `body` into `json` and `lead`, whose values point into `body` and into `texts` (which must
 * not be touched while they are used).  Every attribute that is wrong is one of `problems`.
 * False: the document is none to speak of, and further checks have nothing to look at. */
bool shape_read(plumb_lead_t *lead, plumb_json_t *json, plumb_buf_t *texts, const plumb_buf_t *body,
                problems_t *problems);

/* Normalise what has a usual form (phone, e-mail) into `texts`. */
void shape_normalise(plumb_lead_t *lead, plumb_buf_t *texts, problems_t *problems);

/* The same of a resource object at `at` in its document ("/data"). */
void shape_normalise_at(plumb_lead_t *lead, plumb_buf_t *texts, const char *at,
                        problems_t *problems);

/* Where nothing is normalised: hold what would have been to the length of its row. */
void shape_bound(const plumb_lead_t *lead, problems_t *problems);

/* Hash of what the document says, whatever its spelling: order of members, blanks, escapes and
 * separators in phone numbers do not count. It tells a sender's repeat from another lead of the
 * same sender, so it need not withstand who looks for collisions.  `json` is what shape_read
 * filled; `all` and `scratch` are memory, and hold personal data afterwards. */
#define SHAPE_HASH 16
int shape_hash(uint8_t hash[SHAPE_HASH], const plumb_lead_t *lead, const plumb_json_t *json,
               plumb_buf_t *all, plumb_buf_t *scratch, plumb_err_t *err);

/* "/data/attributes/<name>" in `out`. */
void shape_pointer(char out[POINTER_MAX], const char *name);

#endif
