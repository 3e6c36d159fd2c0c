/* The result classes, one row each: PLUMB_OUTCOME(name, charged), `charged` when it spends a try.
 * Included with PLUMB_OUTCOME defined; the names are a contract (metrics, API, plugins) and only
 * grow. */
PLUMB_OUTCOME(ok, 0)          /* the service took it */
PLUMB_OUTCOME(duplicate, 0)   /* the service has it already: success */
PLUMB_OUTCOME(retry, 1)       /* nothing sent, or 408, 425, 5xx */
PLUMB_OUTCOME(throttled, 0)   /* 429 and the services' own ways to say it */
PLUMB_OUTCOME(credentials, 0) /* 401, 403, revoked grant */
PLUMB_OUTCOME(permanent, 0)   /* the service refuses this content */
PLUMB_OUTCOME(gone, 0)        /* 410: never again */
PLUMB_OUTCOME(ambiguous, 0)   /* bytes sent, no complete answer */
PLUMB_OUTCOME(bug, 1)         /* the plugin broke its contract */
