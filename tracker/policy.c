/* Which schedule a delivery keeps. */
#include "policy.h"

int policy_init(policy_t *policy, const plumb_conf_t *conf, plumb_err_t *err)
{
    policy->jitter_percent = (unsigned)conf->retry_jitter;
    int rc = plumb_conf_durations(conf->retry_schedule, policy->service.ms, PLUMB_CONF_SCHEDULE_MAX,
                                  &policy->service.count, err);
    if (rc == 0)
        rc = plumb_conf_durations(conf->retry_schedule_mail, policy->mail.ms,
                                  PLUMB_CONF_SCHEDULE_MAX, &policy->mail.count, err);
    if (rc == 0 && (policy->service.count == 0 || policy->mail.count == 0))
        rc =
            plumb_err_set(err, PLUMB_E_CONFIG, "a retry schedule without waits, want at least one");
    return rc;
}

retry_policy_t policy_for(const policy_t *policy, bool mail, const char *own, waits_t *space)
{
    const waits_t *waits = mail ? &policy->mail : &policy->service;
    if (own != NULL &&
        plumb_conf_durations(own, space->ms, PLUMB_CONF_SCHEDULE_MAX, &space->count, NULL) == 0 &&
        space->count > 0)
        waits = space;
    return (retry_policy_t){waits->ms, waits->count, policy->jitter_percent};
}
