/* What the route table calls. */
#ifndef INGEST_HANDLERS_H
#define INGEST_HANDLERS_H

#include "request.h"

void intake_post(request_t *request);
void lead_get(request_t *request);
void health_alive(request_t *request);
void health_ready(request_t *request);
void health_metrics(request_t *request);

#endif
