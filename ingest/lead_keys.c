/* Keys of a lead under way: terms, the hash of its body, fields of its data. */
#include "lead_keys.h"

#include "idempotency.h"
#include "route.h"

#include <string.h>

#define FIELD_PREFIX "data."
#define FIELD_MAX 1024 /* longer values tell nobody */

/* The value of a field as text; false: there is none that could be compared. */
static bool field_value(const request_t *request, const char *name, char out[FIELD_MAX],
                        plumb_slice_t *value)
{
    const plumb_json_t *json = &request->work->json;
    const plumb_slice_t *data = &request->lead.value[PLUMB_LEAD_DATA];
    uint32_t at =
        data->data == NULL ? 0 : plumb_json_member(json, plumb_json_at(json, data->data), name);
    if (at == 0)
        return false;
    const plumb_json_node_t *node = &json->nodes[at];
    *value = (plumb_slice_t){json->text + node->start, node->end - node->start};
    if (node->type == PLUMB_JSON_STRING) {
        ptrdiff_t length = plumb_json_string(json, at, out, FIELD_MAX);
        *value = (plumb_slice_t){out, length < 0 ? 0 : (size_t)length};
    }
    return value->length > 0 && node->type != PLUMB_JSON_NULL && node->type != PLUMB_JSON_ARRAY &&
           node->type != PLUMB_JSON_OBJECT;
}

static void gather_field(request_t *request, const char *key)
{
    lead_keys_t *keys = &request->prepared.keys;
    const char *name = key + strlen(FIELD_PREFIX);
    const plumb_slice_t field = {name, strlen(name)};
    char text[FIELD_MAX];
    plumb_slice_t value;
    int64_t term;
    if (!field_value(request, name, text, &value) ||
        !plumb_blind_field(&term, &request->quiz->index_key, &field, &value))
        return;
    plumb_blind_add(&request->blind, term);
    keys->fields[keys->field_count].name = key;
    keys->fields[keys->field_count++].term = term;
}

static void gather_fields(request_t *request)
{
    const quiz_list_t *list = &request->quiz->settings.duplicate_keys;
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->item[i], FIELD_PREFIX, strlen(FIELD_PREFIX)) == 0)
            gather_field(request, list->item[i]);
}

static int64_t body_of(const request_t *request)
{
    int64_t body;
    memcpy(&body, request->body_hash, sizeof body);
    return body;
}

int lead_keys_gather(request_t *request, bool is_test, plumb_err_t *err)
{
    const quiz_t *quiz = request->quiz;
    const plumb_blind_t *blind = request_blind(request);
    lead_keys_t *keys = &request->prepared.keys;
    const char *key = request->door.idempotency_key;
    *keys = (lead_keys_t){.quiz = quiz,
                          .is_test = is_test,
                          .is_blocked = request->blocked,
                          .phone = blind->has_phone ? blind->phone : 0,
                          .email = blind->has_email ? blind->email : 0,
                          .external_id = request->lead.value[PLUMB_LEAD_EXTERNAL_ID]};
    if (key != NULL) {
        keys->key = (plumb_slice_t){key, strlen(key)};
        keys->route = (plumb_slice_t){request->route->name, strlen(request->route->name)};
    }
    gather_fields(request);
    if (quiz->settings.identical_window_seconds == 0)
        return 0;
    int rc = idempotency_hash(request, err);
    keys->body = rc == 0 ? body_of(request) : 0;
    return rc;
}

void lead_keys_trace(request_t *request, bool is_test)
{
    const quiz_settings_t *s = &request->quiz->settings;
    plumb_buf_t *trace = &request->work->trace;
    if (trace->failed)
        return;
    trace->length--; /* the bracket */
    if (s->identical_window_seconds > 0)
        plumb_buf_text(trace, ",[\"identical\",\"passed\"]");
    if (s->duplicate_policy != DUPLICATE_ALLOW && is_test)
        plumb_buf_text(trace, ",[\"duplicate\",\"skipped\",\"test\"]");
    else if (s->duplicate_policy != DUPLICATE_ALLOW)
        plumb_buf_text(trace, s->duplicate_window_minutes > 0
                                  ? ",[\"duplicate\",\"passed\"]"
                                  : ",[\"duplicate\",\"skipped\",\"off\"]");
    if (s->payment)
        plumb_buf_text(trace, is_test ? ",[\"payment\",\"skipped\",\"test\"]"
                                      : ",[\"payment\",\"passed\"]");
    plumb_buf_text(trace, "]");
}
