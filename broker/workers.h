/* Between workers.c, hello.c and work.c only. */
#ifndef PLUMB_BROKER_WORKERS_H
#define PLUMB_BROKER_WORKERS_H

#include "state.h"

peer_t *bk_peer_new(broker_t *b, const char *slot); /* NULL: too many, or out of memory */
void bk_peer_serve(broker_t *b, peer_t *peer, const plumb_slice_t *names, size_t count);
void bk_peer_credit(broker_t *b, peer_t *peer, uint32_t credit);
void bk_peer_heard(broker_t *b, peer_t *peer);
size_t bk_peer_lose(broker_t *b, peer_t *peer); /* all it had; how much */

void bk_hello(broker_t *b, const char *slot, const plumb_note_t *note);

#endif
