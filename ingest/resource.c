/* Resource objects. */
#include "resource.h"

#include "api/put.h"
#include "count.h"

#include <stdio.h>
#include <string.h>

void integration_count(integration_t *integration, const char *state)
{
    if (strcmp(state, "delivered") == 0)
        integration->delivered++;
    else if (strcmp(state, "failed") == 0)
        integration->failed++;
    else if (strcmp(state, "skipped") == 0 || strcmp(state, "canceled") == 0)
        integration->skipped++;
    else
        integration->live++;
}

integration_status_t integration_status(const integration_t *integration)
{
    if (integration->delivered > 0)
        return integration->live + integration->failed > 0 ? INTEGRATION_PARTIAL
                                                           : INTEGRATION_DELIVERED;
    if (integration->live > 0)
        return INTEGRATION_PENDING;
    return integration->failed > 0 ? INTEGRATION_FAILED : INTEGRATION_NONE;
}

static const char *const statuses[] = {[INTEGRATION_NONE] = "none",
                                       [INTEGRATION_PENDING] = "pending",
                                       [INTEGRATION_PARTIAL] = "partial",
                                       [INTEGRATION_DELIVERED] = "delivered",
                                       [INTEGRATION_FAILED] = "failed"};

const char *integration_name(integration_status_t status)
{
    return statuses[status];
}

integration_status_t integration_find(const char *name)
{
    unsigned status = 0;
    while (status + 1 < PLUMB_COUNT(statuses) && strcmp(statuses[status], name) != 0)
        status++;
    return (integration_status_t)status;
}

void resource_stamp(plumb_lead_t *lead, int64_t created_ms, char text[PLUMB_TIME_TEXT])
{
    plumb_slice_t moment = {plumb_time_text(created_ms, text), PLUMB_TIME_TEXT - 1};
    lead->value[PLUMB_LEAD_CREATED_AT] = moment;
    lead->value[PLUMB_LEAD_UPDATED_AT] = moment;
}

void resource_mark(plumb_lead_t *lead, bool paid, const plumb_uuid_t *original,
                   char text[PLUMB_UUID_TEXT])
{
    static const plumb_slice_t yes = {"true", 4}, no = {"false", 5};
    lead->value[PLUMB_LEAD_VIEWED] = no;
    lead->value[PLUMB_LEAD_BLOCKED] = no;
    lead->value[PLUMB_LEAD_PAID] = paid ? yes : no;
    lead->value[PLUMB_LEAD_DUPLICATE_OF] =
        plumb_uuid_is_nil(original)
            ? (plumb_slice_t){NULL, 0}
            : (plumb_slice_t){plumb_uuid_text(original, text), PLUMB_UUID_TEXT - 1};
}

int resource_document(plumb_buf_t *out, const plumb_lead_t *lead, integration_status_t status,
                      plumb_err_t *err)
{
    char id[PLUMB_UUID_TEXT], word[16];
    int length = snprintf(word, sizeof word, "\"%s\"", statuses[status]);
    plumb_slice_t derived[] = {{word, (size_t)length}, {"{}", 2}};
    plumb_buf_clear(out);
    plumb_buf_text(out, DOCUMENT_HEAD);
    api_put_resource(out, &(api_resource_t){.type = &api_types[API_LEADS],
                                            .id = plumb_uuid_text(&lead->id, id),
                                            .lead = lead,
                                            .derived = derived,
                                            .fields = API_ALL_FIELDS});
    plumb_buf_text(out, "}");
    return out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write a lead") : 0;
}
