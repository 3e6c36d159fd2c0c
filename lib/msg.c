/* Types of messages, and the check that comes before any decoding. */
#include "msg.h"

#include "msg_check.h"
#include "msg_fields.h"
#include "msg_token.h"

#include <inttypes.h>
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

static bool is_text(const plumb_token_t *token, const char *text)
{
    return token->kind == PLUMB_TOKEN_STR && token->number == strlen(text) &&
           memcmp(token->data, text, token->number) == 0;
}

typedef struct head {
    plumb_token_t version, type;
    bool has_version, has_type;
} head_t;

/* Look for "v" and "t" in a checked map.  They come first, but need not. */
static head_t read_head(const void *frame, size_t length)
{
    head_t head = {0};
    plumb_cursor_t cursor = {frame, (const uint8_t *)frame + length};
    plumb_token_t map = {0}, key = {0};
    plumb_token_next(&cursor, &map);
    for (uint64_t i = 0; i < map.number && !(head.has_version && head.has_type); i++) {
        plumb_token_next(&cursor, &key);
        plumb_cursor_t value = cursor;
        plumb_token_skip(&cursor);
        if (is_text(&key, "v"))
            head.has_version = plumb_token_next(&value, &head.version) == NULL;
        else if (is_text(&key, "t"))
            head.has_type = plumb_token_next(&value, &head.type) == NULL;
    }
    return head;
}

static int find_type(const plumb_token_t *name, plumb_msg_type_t *type, plumb_err_t *err)
{
    if (name->kind != PLUMB_TOKEN_STR)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "type is no text");
    for (unsigned i = 0; i < PLUMB_MSG_COUNT; i++) {
        if (is_text(name, type_names[i])) {
            *type = (plumb_msg_type_t)i;
            return 0;
        }
    }
    return plumb_err_set(err, PLUMB_E_MESSAGE, "unknown type '%.*s'",
                         name->number < 32 ? (int)name->number : 32, (const char *)name->data);
}

int plumb_msg_check(const void *frame, size_t length, plumb_msg_type_t *type, plumb_err_t *err)
{
    int rc = plumb_msg_walk_map(frame, length, PLUMB_MSG_DEPTH_MAX, err);
    if (rc < 0)
        return plumb_err_add(err, "frame");
    head_t head = read_head(frame, length);
    if (!head.has_version || head.version.kind != PLUMB_TOKEN_UINT)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "frame: has no version");
    if (head.version.number != PLUMB_MSG_VERSION)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "frame: version %" PRIu64 ", want %d",
                             head.version.number, PLUMB_MSG_VERSION);
    if (!head.has_type)
        return plumb_err_set(err, PLUMB_E_MESSAGE, "frame: has no type");
    rc = find_type(&head.type, type, err);
    return rc < 0 ? plumb_err_add(err, "frame") : 0;
}

int plumb_msg_open(plumb_msg_type_t type, const void *frame, size_t length, plumb_err_t *err)
{
    plumb_msg_type_t is = PLUMB_MSG_COUNT;
    int rc = plumb_msg_check(frame, length, &is, err);
    if (rc < 0 || is == type)
        return rc;
    return plumb_err_set(err, PLUMB_E_MESSAGE, "frame: type '%s', want '%s'", plumb_msg_name(is),
                         plumb_msg_name(type));
}
