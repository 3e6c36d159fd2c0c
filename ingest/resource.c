/* Resource objects. */
#include "resource.h"

#include "count.h"

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

/* The resources that a lead belongs to. */
static const struct {
    const char *opening;
    plumb_lead_attr_t attr;
} owners[] = {
    {"\"user\":{\"data\":{\"type\":\"users\",\"id\":\"", PLUMB_LEAD_USER_ID},
    {",\"project\":{\"data\":{\"type\":\"projects\",\"id\":\"", PLUMB_LEAD_PROJECT_ID},
    {",\"quiz\":{\"data\":{\"type\":\"quizzes\",\"id\":\"", PLUMB_LEAD_QUIZ_ID},
};

void resource_open(plumb_buf_t *out, const plumb_lead_t *lead, integration_status_t status,
                   const plumb_slice_t *data)
{
    char id[PLUMB_UUID_TEXT];
    plumb_buf_text(out, "{\"type\":\"leads\",\"id\":\"");
    plumb_buf_text(out, plumb_uuid_text(&lead->id, id));
    plumb_buf_text(out, "\",\"attributes\":");
    plumb_lead_attributes_json(out, lead);
    if (!out->failed)
        out->length--; /* the brace: two attributes follow that are no column */
    plumb_buf_text(out, ",\"integrationStatus\":\"");
    plumb_buf_text(out, statuses[status]);
    plumb_buf_text(out, "\",\"integrationData\":");
    plumb_buf_put(out, data->data, data->length);
    plumb_buf_text(out, "},\"relationships\":{");
    for (size_t i = 0; i < PLUMB_COUNT(owners); i++) {
        const plumb_slice_t *value = &lead->value[owners[i].attr];
        plumb_buf_text(out, owners[i].opening);
        plumb_buf_put(out, value->data, value->length);
        plumb_buf_text(out, "\"}}");
    }
}

void resource_close(plumb_buf_t *out, const plumb_lead_t *lead)
{
    char id[PLUMB_UUID_TEXT];
    plumb_buf_text(out, "},\"links\":{\"self\":\"/api/v1/leads/");
    plumb_buf_text(out, plumb_uuid_text(&lead->id, id));
    plumb_buf_text(out, "\"}}");
}

void resource_stamp(plumb_lead_t *lead, int64_t created_ms, char text[PLUMB_TIME_TEXT])
{
    plumb_slice_t moment = {plumb_time_text(created_ms, text), PLUMB_TIME_TEXT - 1};
    lead->value[PLUMB_LEAD_CREATED_AT] = moment;
    lead->value[PLUMB_LEAD_UPDATED_AT] = moment;
}

int resource_document(plumb_buf_t *out, const plumb_lead_t *lead, integration_status_t status,
                      plumb_err_t *err)
{
    static const plumb_slice_t nothing = {"{}", 2};
    plumb_buf_clear(out);
    plumb_buf_text(out, DOCUMENT_HEAD);
    resource_open(out, lead, status, &nothing);
    resource_close(out, lead);
    plumb_buf_text(out, "}");
    return out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "write a lead") : 0;
}
