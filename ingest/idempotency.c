/* Replays.  The row itself is written by the commit of the lead (store_commit.c). */
#include "idempotency.h"

#include "resource.h"
#include "route.h"
#include "shape.h"

#include <sodium.h>
#include <string.h>

#define KEY_MAX 255

bool idempotency_check_key(request_t *request)
{
    const char *key = request->door.idempotency_key;
    if (key == NULL)
        return true;
    size_t length = strlen(key), good = 0;
    while (good < length && key[good] > ' ' && key[good] <= '~')
        good++;
    if (length >= 1 && length <= KEY_MAX && good == length)
        return true;
    answer_problem(request, PLUMB_E_BAD_REQUEST, SOURCE_HEADER, "Idempotency-Key",
                   "want 1 to 255 visible characters");
    return false;
}

int idempotency_hash(request_t *request, plumb_err_t *err)
{
    workspace_t *w = request->work;
    if (request->is_hashed)
        return 0;
    int rc = shape_hash(request->body_hash, &request->lead, &w->json, &w->plain, &w->message, err);
    request->is_hashed = rc == 0;
    return rc;
}

/* The repeat carries the same lead as the first request did: the answer is made of it again. */
static int answer_again(request_t *request, const stored_answer_t *stored, plumb_err_t *err)
{
    char id[PLUMB_UUID_TEXT], created[PLUMB_TIME_TEXT], original[PLUMB_UUID_TEXT];
    plumb_lead_t lead = request->lead;
    lead.id = stored->lead;
    resource_stamp(&lead, stored->created_ms, created);
    resource_mark(&lead, stored->paid, &stored->duplicate_of, original);
    int rc = resource_document(&request->answer.body, &lead, stored->integration, err);
    if (rc < 0)
        return rc;
    plumb_buf_clear(&request->answer.headers);
    request->answer.status = stored->status;
    request->answer.type = NULL;
    if (stored->status == 201)
        plumb_buf_printf(&request->answer.headers, "Location: /api/v1/leads/%s\r\n",
                         plumb_uuid_text(&stored->lead, id));
    answer_header(request, "Idempotency-Replayed", "true");
    return 0;
}

static int replay_with(request_t *request, reader_t *reader, replay_t *replay, plumb_err_t *err)
{
    stored_answer_t stored = {.is_there = false};
    const plumb_uuid_t *account = &request->identity.account;
    const char *route = request->route->name, *key = request->door.idempotency_key;
    int64_t life_ms = request->ingest->conf->idempotency_life;
    int rc = store_answer(reader, account, route, key, life_ms, &stored, err);
    *replay = REPLAY_NONE;
    if (rc == 0 && stored.is_there && !stored.is_fresh) {
        rc = store_forget_answer(reader, account, route, key, life_ms, err);
    } else if (rc == 0 && stored.is_there) {
        *replay = REPLAY_ANSWERED;
        rc = idempotency_hash(request, err);
        if (rc < 0)
            return rc;
        if (memcmp(request->body_hash, stored.body_hash, sizeof request->body_hash) != 0)
            answer_problem(request, PLUMB_E_IDEMPOTENCY, SOURCE_HEADER, "Idempotency-Key",
                           "the key was used for another body");
        else if (stored.is_erased)
            answer_error(request, PLUMB_E_CONFLICT, "the lead of the first request was erased");
        else
            rc = answer_again(request, &stored, err);
    }
    return rc;
}

replay_t idempotency_replay(request_t *request)
{
    plumb_err_t err = {0};
    reader_t *reader = NULL;
    replay_t replay = REPLAY_NONE;
    if (request->door.idempotency_key == NULL)
        return REPLAY_NONE;
    int rc = readers_take(request->ingest->readers, &reader, &err);
    if (rc == 0)
        rc = replay_with(request, reader, &replay, &err);
    readers_give(request->ingest->readers, reader);
    if (rc == 0)
        return replay;
    answer_failure(request, &err);
    return REPLAY_ANSWERED;
}
