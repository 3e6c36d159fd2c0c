/* What jobs weigh, and who may add to it.  Counted are the bytes really allocated for a job: its
 * frame as received, and the record of its ticket, which stays until the tracker's ack. */
#include "state.h"

#define MALLOC_BYTES 16   /* overhead of a block */
#define LANE_PART 4       /* a credential may hold a quarter, so that others always fit in */
#define ROOM_NUM 4        /* room ends at 80 % … */
#define ROOM_DEN 5        /* … what is under way then still fits */
#define SHARE_OF_ROOM 4   /* a credential is fed while it holds less than a quarter of the room */
#define SHARE_MIN_PART 64 /* but for so little never closed */
#define REOPEN_NUM 3      /* opened again below three quarters of that */
#define REOPEN_DEN 4

int64_t bk_room(const broker_t *b)
{
    int64_t room = b->set.memory / ROOM_DEN * ROOM_NUM - b->held;
    return room > 0 && !b->stopping ? room : 0;
}

int64_t bk_job_bytes(size_t frame_length)
{
    return (int64_t)(sizeof(payload_t) + frame_length + MALLOC_BYTES);
}

int64_t bk_ticket_bytes(void)
{
    return (int64_t)sizeof(ticket_t) + MALLOC_BYTES;
}

bool bk_takes(const broker_t *b, int64_t bytes)
{
    return b->held + bytes <= b->set.memory;
}

/* One job is taken whatever it weighs, or it would be fed and refused for ever. */
bool bk_lane_takes(const broker_t *b, const lane_t *lane, int64_t bytes)
{
    return lane->bytes == 0 || lane->bytes + bytes <= b->set.memory / LANE_PART;
}

/* The share at which feeding stops shrinks with the room that is left: a few hundred credentials
 * that nobody answers fill no more than a part of the memory together. */
void bk_lane_share(broker_t *b, lane_t *lane)
{
    int64_t share = bk_room(b) / SHARE_OF_ROOM;
    int64_t most = b->set.memory / LANE_PART / ROOM_DEN * ROOM_NUM;
    int64_t least = b->set.memory / SHARE_MIN_PART;
    share = share > most ? most : share;
    share = share < least ? least : share;
    bool closed =
        lane->closed ? lane->bytes > share / REOPEN_DEN * REOPEN_NUM : lane->bytes > share;
    if (closed != lane->closed)
        b->beacon_wanted = true;
    lane->closed = closed;
}

void bk_memory_add(broker_t *b, lane_t *lane, int64_t bytes)
{
    b->held += bytes;
    if (lane != NULL) {
        lane->bytes += bytes;
        bk_lane_share(b, lane);
    }
}
