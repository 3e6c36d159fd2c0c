/* What the route table calls. */
#ifndef INGEST_HANDLERS_H
#define INGEST_HANDLERS_H

#include "request.h"

void intake_post(request_t *request);
void events_get(request_t *request);

/* Reads of any resource type: which, and which relation, the route's path tells. */
void api_list(request_t *request);
void api_counts(request_t *request);
void api_board(request_t *request);
void api_get(request_t *request);
void api_related_one(request_t *request);
void api_related_many(request_t *request);
void api_lead_deliveries(request_t *request);
void api_explain(request_t *request);

void bulk_post(request_t *request);

void public_post(request_t *request);
void public_options(request_t *request);
void verification_post(request_t *request);
void verification_confirm(request_t *request);
void verification_get(request_t *request);
/* Changes of any resource type, likewise. */
void api_create(request_t *request);
void api_update(request_t *request);
void api_remove(request_t *request);
void api_restore(request_t *request);
void api_release(request_t *request);
void api_operations(request_t *request);

void account_get(request_t *request);
void account_update(request_t *request);
void account_top_up(request_t *request);
void account_get_top_up(request_t *request);

void health_alive(request_t *request);
void health_ready(request_t *request);
void health_metrics(request_t *request);

#endif
