/* Types of messages. */
#include "msg.h"

#include "msg_fields.h"
#include "msg_token.h"

#include <string.h>

const char *const plumb_outcome_names[PLUMB_OUT_COUNT] = {
#define PLUMB_OUTCOME(name, charged) #name,
#include "plumb/outcomes.h"
#undef PLUMB_OUTCOME
};

const char *plumb_outcome_name(plumb_outcome_t outcome)
{
    return (unsigned)outcome < PLUMB_OUT_COUNT ? plumb_outcome_names[outcome] : "unknown";
}

static const char *const type_names[PLUMB_MSG_COUNT] = {
    [PLUMB_MSG_JOB] = "job",           [PLUMB_MSG_RESULT] = "result",
    [PLUMB_MSG_ACKS] = "acks",         [PLUMB_MSG_BEACON] = "beacon",
    [PLUMB_MSG_HERE] = "here",         [PLUMB_MSG_HELLO] = "hello",
    [PLUMB_MSG_WELCOME] = "welcome",   [PLUMB_MSG_PING] = "ping",
    [PLUMB_MSG_PONG] = "pong",         [PLUMB_MSG_FENCED] = "fenced",
    [PLUMB_MSG_DONE] = "done",         [PLUMB_MSG_RETURN] = "return",
    [PLUMB_MSG_RECALL] = "recall",     [PLUMB_MSG_RECALLED] = "recalled",
    [PLUMB_MSG_LOST] = "lost",         [PLUMB_MSG_UNACKED] = "unacked",
    [PLUMB_MSG_CENSUS] = "census",     [PLUMB_MSG_INVENTORY] = "inventory",
    [PLUMB_MSG_ADOPT] = "adopt",       [PLUMB_MSG_AUDIT] = "audit",
    [PLUMB_MSG_MISSING] = "missing",   [PLUMB_MSG_STANDS] = "stands",
    [PLUMB_MSG_CHANNELS] = "channels", [PLUMB_MSG_CONTROL] = "control",
    [PLUMB_MSG_STATE] = "state",
};

const char *plumb_msg_name(plumb_msg_type_t type)
{
    return (unsigned)type < PLUMB_MSG_COUNT ? type_names[type] : "unknown";
}

plumb_msg_type_t plumb_msg_type_of(const char *name, size_t length)
{
    for (unsigned i = 0; length > 0 && i < PLUMB_MSG_COUNT; i++)
        if (type_names[i][0] == name[0] && strlen(type_names[i]) == length &&
            memcmp(name, type_names[i], length) == 0)
            return (plumb_msg_type_t)i;
    return PLUMB_MSG_COUNT;
}

plumb_msg_type_t plumb_msg_claims(const void *frame, size_t length)
{
    plumb_cursor_t cursor = {frame, (const uint8_t *)frame + length};
    plumb_token_t map = {0}, key = {0}, type = {0};
    if (plumb_token_next(&cursor, &map) != NULL || map.kind != PLUMB_TOKEN_MAP)
        return PLUMB_MSG_COUNT;
    for (uint64_t i = 0; i < map.number && plumb_token_next(&cursor, &key) == NULL; i++) {
        if (key.kind != PLUMB_TOKEN_STR || key.number != 1 || key.data[0] != 't') {
            plumb_token_skip(&cursor);
            continue;
        }
        if (plumb_token_next(&cursor, &type) != NULL || type.kind != PLUMB_TOKEN_STR)
            return PLUMB_MSG_COUNT;
        return plumb_msg_type_of((const char *)type.data, type.number);
    }
    return PLUMB_MSG_COUNT;
}

int plumb_msg_check(const void *frame, size_t length, plumb_msg_type_t *type, plumb_err_t *err)
{
    plumb_msg_target_t target = {.types = UINT32_MAX, .want = "any"};
    return plumb_msg_read(&target, type, frame, length, err);
}
