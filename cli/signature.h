/* Standard Webhooks 1.0.0, the receiver's side: https://www.standardwebhooks.com */
#ifndef PLUMB_CLI_SIGNATURE_H
#define PLUMB_CLI_SIGNATURE_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_SECRET_MIN 24
#define SIGNATURE_SECRET_MAX 64
#define SIGNATURE_TOLERANCE_S 300

typedef struct signature_secret {
    uint8_t bytes[SIGNATURE_SECRET_MAX];
    size_t length;
} signature_secret_t;

typedef enum signature_verdict {
    SIGNATURE_GOOD,
    SIGNATURE_MISSING, /* a header is not there or makes no sense */
    SIGNATURE_STALE,   /* signed more than five minutes before or after now */
    SIGNATURE_WRONG    /* none of the signatures matches */
} signature_verdict_t;

const char *signature_word(signature_verdict_t verdict);

/* Read "whsec_<base64>", padding optional.  USAGE: anything else; the text is not repeated. */
int signature_secret_read(signature_secret_t *secret, const char *text, plumb_err_t *err);

/* What arrived; a header that was not sent is NULL. */
typedef struct signature_call {
    const char *id, *timestamp, *signatures;
    const void *body;
    size_t length;
} signature_call_t;

signature_verdict_t signature_check(const signature_secret_t *secret, const signature_call_t *call,
                                    int64_t now_s);

#endif
