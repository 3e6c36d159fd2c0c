/* What the commit of a group must decide, and by which keys: rules, terms and locks for
 * plumb_decide_leads (sql/008_intake.sql).  "Rivals" are leads that share a key. */
#ifndef INGEST_RIVALS_H
#define INGEST_RIVALS_H

#include "committer.h"
#include "db.h"

/* Memory of one committer, used again for each group. */
typedef struct rivals {
    struct rival_slot *slots; /* owned: who was first to have a key */
    size_t slot_count;        /* a power of two */
    struct rival_lead *leads; /* owned */
    size_t lead_capacity;
    struct rival_rule *rules; /* owned */
    size_t rule_count, rule_capacity;
    int64_t *locks; /* owned */
    size_t lock_count, lock_capacity;
} rivals_t;

void rivals_fini(rivals_t *rivals);

/* Must anything be decided for this group?  If not, it is just stored. */
bool rivals_are_asked_for(prepared_t *const *group, size_t count);

/* Append the parameters of plumb_decide_leads for such a group, as RIVAL_CALL takes them; windows
 * of time reach back from `now_ms`.  MEMORY. */
int rivals_bind(rivals_t *rivals, plumb_params_t *params, uint32_t rule_array, uint32_t rule_type,
                prepared_t *const *group, size_t count, int64_t now_ms, plumb_err_t *err);

#define RIVAL_PARAMS 22 /* $3 to $24 */
#define RIVAL_CALL                                                                                 \
    "plumb_decide_leads($3::int8[], $4::int8[], ROW($5::lead_rule_1[], $6::int4[], $7::uuid[], "   \
    "$8::int8[], $9::int8[], $10::int8[], $11::text[], $12::text[], $13::text[], $14::int4[], "    \
    "$15::text[], $16::int8[], $17::int4[], $18::int4[], $19::uuid[])::lead_keys_1, $20::int4, "   \
    "$21::uuid, $22::uuid, $23::int4[], $24::int4[])"

#endif
