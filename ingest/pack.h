/* Records of a commit, in PostgreSQL's binary format: the types of sql/008_intake.sql and
 * sql/003_hot_path.sql.
 *
 * Packed by the handler threads, so that the committer has only bytes to copy. */
#ifndef INGEST_PACK_H
#define INGEST_PACK_H

#include "blind.h"
#include "lead.h"

/* A lead, everything personal sealed, and what a repeat of its request is answered from. */
typedef struct lead_record {
    const plumb_lead_t *lead;
    int64_t created_ms;
    plumb_slice_t sealed_key, sealed, trace, traceparent;
    plumb_slice_t route, key, request_hash, integration_status; /* data NULL without
                                                                   Idempotency-Key */
    const plumb_blind_t *blind;                                 /* NULL: it has no terms */
    int64_t body;                                               /* of the canonical body; 0: none */
    bool blocked;
    plumb_uuid_t verification; /* nil: none */
} lead_record_t;

typedef struct delivery_record {
    const plumb_uuid_t *account, *lead;
    plumb_uuid_t id, credential;
    plumb_slice_t channel, state;
    int32_t attempt;
    int64_t due_ms, deadline_ms, created_ms;
    uint64_t epoch; /* 0: none */
    plumb_slice_t reason;
} delivery_record_t;

/* Append one array element, behind its length. */
void pack_lead(plumb_buf_t *out, const lead_record_t *record);
void pack_delivery(plumb_buf_t *out, const delivery_record_t *record);

#endif
