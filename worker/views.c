/* Views of a call. */
#include "views.h"

#include "calls.h"

#include <string.h>

static const char unreadable[] = "the job's lead cannot be read";

/* ---- the lead ---- */

const char *view_lead_text(call_t *call, const char *name)
{
    plumb_token_t text = unpack_member(call->body.data, call->body.length, name);
    size_t length = (size_t)text.number;
    char *copy = text.data != NULL ? arena_take(&call->arena, length + 1) : NULL;
    if (copy == NULL) {
        if (text.data != NULL)
            call->ask.broken = "out of memory";
        return "";
    }
    memcpy(copy, text.data, length);
    copy[length] = '\0';
    return copy;
}

plumb_part_t view_lead_json(call_t *call)
{
    unpack_space_t *space = &call->calls->lead;
    if (!unpack_text(space, call->body.data, call->body.length)) {
        call->ask.broken = unreadable;
        return (plumb_part_t){"null", 4};
    }
    return (plumb_part_t){space->text.data, space->text.length};
}

json_t *view_lead_tree(call_t *call)
{
    if (call->lead_tree == NULL)
        call->lead_tree = unpack_json(call->body.data, call->body.length);
    if (call->lead_tree == NULL)
        call->ask.broken = unreadable;
    return call->lead_tree;
}

json_t *view_mapped(call_t *call)
{
    if (call->mapped == NULL)
        call->mapped = json_object();
    return call->mapped;
}

/* ---- the checkpoint ---- */

static json_t *read_checkpoint(const plumb_buf_t *text)
{
    json_t *read = text->length > 0 ? json_loadb(text->data, text->length, 0, NULL) : NULL;
    if (json_is_object(read))
        return read;
    json_decref(read);
    return json_object();
}

json_t *view_checkpoint(call_t *call)
{
    if (call->checkpoint == NULL)
        call->checkpoint = read_checkpoint(&call->given_checkpoint);
    return call->checkpoint;
}

char *view_checkpoint_text(call_t *call)
{
    if (call->checkpoint == NULL && call->given_checkpoint.length == 0)
        return NULL;
    const json_t *checkpoint = view_checkpoint(call);
    return json_object_size(checkpoint) > 0 ? json_dumps(checkpoint, JSON_COMPACT) : NULL;
}

/* ---- the answer ---- */

static json_t *parse(const plumb_reply_t *reply, const char *content_type)
{
    if (reply->truncated || reply->length == 0)
        return NULL;
    size_t blanks = strspn(reply->body, " \t\r\n");
    bool maybe = reply->body[blanks] == '{' || reply->body[blanks] == '[' ||
                 (content_type != NULL && strcasestr(content_type, "json") != NULL);
    return maybe ? json_loadb(reply->body, reply->length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                              NULL)
                 : NULL;
}

json_t *view_reply_json(call_t *call)
{
    if (call->api.reply != NULL && !call->reply_parsed) {
        call->reply_json = parse(&call->reply, transfer_header(call->transfer, "Content-Type"));
        call->reply_parsed = true;
    }
    return call->reply_json;
}

void view_forget_reply(call_t *call)
{
    json_decref(call->reply_json);
    call->reply_json = NULL;
    call->reply_parsed = false;
}

void views_fini(call_t *call)
{
    view_forget_reply(call);
    json_decref(call->lead_tree);
    json_decref(call->mapped);
    json_decref(call->checkpoint);
    call->lead_tree = call->mapped = call->checkpoint = NULL;
}
