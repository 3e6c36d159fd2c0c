/* The waits between tries, from configuration, channel and credential. */
#ifndef PLUMB_TRACKER_POLICY_H
#define PLUMB_TRACKER_POLICY_H

#include "conf.h"
#include "transition.h"

typedef struct waits {
    int64_t ms[PLUMB_CONF_SCHEDULE_MAX];
    size_t count;
} waits_t;

typedef struct policy {
    waits_t service, mail;
    unsigned jitter_percent;
} policy_t;

int policy_init(policy_t *policy, const plumb_conf_t *conf, plumb_err_t *err);

/* The policy for a delivery whose channel keeps the mail schedule or not; `own`, the credential's
 * own waits, counts when it is not NULL and can be read, and goes to `space`, which must outlive
 * what is returned. */
retry_policy_t policy_for(const policy_t *policy, bool mail, const char *own, waits_t *space);

#endif
