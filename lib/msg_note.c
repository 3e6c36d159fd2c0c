/* All other messages: one table for all, since a member that a type does not use is zero and so is
 * not written. */
#include "msg.h"

#include "msg_fields.h"

#include <stdlib.h>

/* clang-format off */
#define AT(member) offsetof(plumb_note_t, member)
#define NEEDED(...) PLUMB_MSG_FIELD(plumb_note_t, true, __VA_ARGS__)
#define MAYBE(...) PLUMB_MSG_FIELD(plumb_note_t, false, __VA_ARGS__)
static const plumb_msg_field_t fields[] = {
    MAYBE( "name",              TEXT,      name, .max = PLUMB_MSG_NAME_MAX),
    MAYBE( "instance",          U64,       instance),
    MAYBE( "epoch",             U64,       epoch, .max = INT64_MAX),
    MAYBE( "previous",          U64,       previous),
    MAYBE( "clockMs",           I64,       clock_ms),
    MAYBE( "credit",            U32,       credit),
    MAYBE( "room",              I64,       room),
    MAYBE( "stands",            BOOL,      stands),
    MAYBE( "givenUp",           BOOL,      given_up),
    MAYBE( "outcome",           ENUM,      outcome, .max = PLUMB_OUT_COUNT - 1, .names = plumb_outcome_names),
    MAYBE( "retryAfterMs",      I64,       retry_after_ms),
    MAYBE( "text",              TEXT,      text),
    MAYBE( "queues",            TEXTS,     queues, .max = PLUMB_QUEUES_MAX, .second = AT(queue_count)),
    MAYBE( "held",              HELD,      held, .max = PLUMB_HELD_MAX, .second = AT(held_count)),
    MAYBE( "lanes",             LANES,     lanes, .max = PLUMB_LANES_MAX, .second = AT(lane_wait_ms), .third = AT(lane_count)),
    {0}};
/* clang-format on */

int plumb_note_encode(plumb_buf_t *out, const plumb_note_t *note, plumb_err_t *err)
{
    if (note->type == PLUMB_MSG_JOB || note->type == PLUMB_MSG_RESULT ||
        (unsigned)note->type >= PLUMB_MSG_COUNT)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "encode: '%s' is no note",
                             plumb_msg_name(note->type));
    return plumb_msg_write(out, note->type, fields, note, err);
}

int plumb_note_decode(plumb_note_t *note, plumb_note_space_t *space, const void *frame,
                      size_t length, plumb_err_t *err)
{
    plumb_msg_target_t target = {.record = note,
                                 .fields = fields,
                                 .types = PLUMB_MSG_NOTES,
                                 .want = "a note",
                                 .space = space};
    plumb_msg_type_t type = PLUMB_MSG_COUNT;
    *note = (plumb_note_t){0};
    int rc = plumb_msg_read(&target, &type, frame, length, err);
    note->type = type;
    if (rc < 0)
        *note = (plumb_note_t){0};
    return rc;
}

void plumb_note_space_fini(plumb_note_space_t *space)
{
    if (space == NULL)
        return;
    free(space->queues);
    free(space->held);
    free(space->lanes);
    free(space->waits);
    *space = (plumb_note_space_t){0};
}
