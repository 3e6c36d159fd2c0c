/* One call: an attempt of a delivery while it is this worker's.  calls.c moves it along, host.c
 * serves its plugin. */
#ifndef PLUMB_WORKER_CALL_H
#define PLUMB_WORKER_CALL_H

#include "arena.h"
#include "ask.h"
#include "flight.h"
#include "msg.h"
#include "net.h"
#include "plugins.h"
#include "tickets.h"

#include "plumb/channel.h"

#define CALL_STEPS_MAX 32

typedef enum call_state {
    CALL_WAITING, /* assigned; its first step waits for the lease */
    CALL_HELD,    /* its request is ready and waits for the lease or for adoption */
    CALL_FLYING   /* its request is with the network */
} call_state_t;

typedef struct call {
    ticket_entry_t entry; /* first: found by ticket */
    struct calls *calls;
    struct call *before, *next; /* all calls, oldest first */
    plumb_call_t api;           /* what the plugin sees; host_private is this call */
    plumb_reply_t reply;
    plumb_uuid_t account, lead, credential;
    uint8_t attempt_key[32];
    uint32_t credential_version;
    uint64_t epoch; /* under which it may go on; 0: of none, until adopted */
    call_state_t state;
    int slot; /* in the flight file */
    plugin_t *plugin;
    lane_t *lane;
    plumb_step_t (*step)(plumb_call_t *call);
    plumb_buf_t secrets; /* as they came, for the lane */
    plumb_buf_t body;    /* the lead as it came, and likewise */
    plumb_buf_t given_checkpoint;
    json_t *lead_tree, *mapped, *checkpoint, *reply_json; /* views.h; owned, NULL: not made */
    bool reply_parsed;
    ask_t ask;  /* being made, or on its way */
    ask_t last; /* whose answer is being read */
    arena_t arena;
    transfer_t *transfer; /* of the running request, or of the answer that is being read */
    unsigned steps;
    uint16_t requests; /* whose bytes were let go */
    int status;        /* of the last answer */
    int64_t started_us, started_ms, wait_until_ms;
    plumb_timings_t timings;
    char delivery[PLUMB_UUID_TEXT];
    /* what the plugin said */
    char external_id[FLIGHT_EXTERNAL_MAX + 1];
    char detail[FLIGHT_DETAIL_MAX + 1];
    char known_id[FLIGHT_EXTERNAL_MAX + 1]; /* api.external_id: of an earlier attempt */
    int64_t retry_after_ms;
    json_t *refreshed; /* owned */
} call_t;

#endif
