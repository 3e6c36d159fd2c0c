/* What a transfer that ended means, by what had left the machine (reliability 2): pure. */
#ifndef PLUMB_WORKER_OUTCOME_H
#define PLUMB_WORKER_OUTCOME_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

/* What is known of one request when it is over. */
typedef struct sent {
    CURLcode code;
    int status;         /* of the final answer's head; SMTP: the last reply; 0 none */
    bool mail;          /* SMTP */
    bool bytes_left;    /* the request's first byte was let go (SMTP: of the message itself) */
    bool head_complete; /* the final answer's head is whole */
    bool capped;        /* we stopped reading: the answer was longer than we read */
    bool refused;       /* the guard refused every address */
    bool fenced;        /* the lease stopped it before the first byte */
    bool repeated;      /* the library began to send a second time and was stopped */
} sent_t;

typedef enum verdict {
    VERDICT_REPLY, /* a complete answer: the plugin judges */
    VERDICT_RETRY, /* nothing left the machine */
    VERDICT_AMBIGUOUS /* bytes left, no complete answer */,
    VERDICT_AGAIN /* stopped by the fence with nothing sent: assigned again */
} verdict_t;

/* `detail` gets one constant sentence for the owner, or "" for VERDICT_REPLY. */
verdict_t outcome_judge(const sent_t *sent, const char **detail);

/* Milliseconds a Retry-After value asks for: seconds or a date; 0 for garbage and the past; at
 * most a day. */
int64_t outcome_retry_after(const char *value, int64_t unix_seconds);

#endif
