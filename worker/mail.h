/* Mail on threads of its own: the library waits for a mail server's answers to the final dot and to
 * QUIT without returning to its caller (measured on 7.88), which on the loop would stop every other
 * call for minutes.  A thread owns all it works on; the loop is asked before the text leaves, and
 * told when it is over. */
#ifndef PLUMB_WORKER_MAIL_H
#define PLUMB_WORKER_MAIL_H

#include "net_priv.h"

/* Make net->post ready and watch it. */
int mails_open(net_t *net, plumb_err_t *err);
/* Cut off what runs, wait for it for a while. */
void mails_close(net_t *net);

/* Something happened in a thread. */
void mails_on_event(net_t *net);

/* Send what `ask` holds (it is copied).  -1: no memory or no thread. */
int mail_start(transfer_t *transfer, const ask_t *ask);

/* The transfer is not wanted any more: its thread ends by itself. */
void mail_abandon(transfer_t *transfer);

#endif
