/* What a plugin may look at, made when it first does: most calls need the lead's text only, and the
 * answer's status.  All of it is the call's and borrowed until the step returns. */
#ifndef PLUMB_WORKER_VIEWS_H
#define PLUMB_WORKER_VIEWS_H

#include "call.h"

/* A text attribute of the lead, "" when there is none. */
const char *view_lead_text(call_t *call, const char *name);
/* The lead as JSON text ("null" when it cannot be read, and the call is a bug then). */
plumb_part_t view_lead_json(call_t *call);
/* The lead as a tree; NULL when it cannot be read, and the call is a bug then. */
json_t *view_lead_tree(call_t *call);

json_t *view_mapped(call_t *call);
json_t *view_checkpoint(call_t *call);

/* The checkpoint's text, the caller's to free; NULL: nothing stands in it. */
char *view_checkpoint_text(call_t *call);

/* The answer's body; NULL: no JSON. */
json_t *view_reply_json(call_t *call);
void view_forget_reply(call_t *call);

void views_fini(call_t *call);

#endif
