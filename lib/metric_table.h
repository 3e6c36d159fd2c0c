/* Every series, one row each; included with PLUMB_METRIC(id, name, kind, daemon, labels, help)
 * defined. kind    COUNTER, GAUGE, or a histogram by its buckets: REQUEST, ATTEMPT, LATENCY, BATCH
 *   daemon  who shows it: "ingest", "broker", "worker", "tracker", "all"
 *   labels  "" or one or two names joined by a comma; values are given joined the same way */
/* clang-format off */
PLUMB_METRIC(BUILD_INFO, "plumb_build_info", GAUGE, "all", "version", "1, labelled with the version that runs")
PLUMB_METRIC(FRAMES_REFUSED, "plumb_frames_refused_total", COUNTER, "all", "reason", "Messages between daemons that were malformed or of an unknown version")
PLUMB_METRIC(SENDS_REFUSED, "plumb_sends_refused_total", COUNTER, "all", "message", "Messages that found their socket full or without a peer; they are repeated or audited")
PLUMB_METRIC(DB_CONNECTS, "plumb_database_connects_total", COUNTER, "all", "", "Connections made to PostgreSQL")
PLUMB_METRIC(DB_ERRORS, "plumb_database_errors_total", COUNTER, "all", "code", "Statements that failed, by error code")

PLUMB_METRIC(HTTP_SECONDS, "plumb_http_request_duration_seconds", REQUEST, "ingest", "method,route", "Time to answer a request")
PLUMB_METRIC(HTTP_ANSWERS, "plumb_http_answers_total", COUNTER, "ingest", "route,status", "Answers by status")
PLUMB_METRIC(LEADS_ACCEPTED, "plumb_leads_accepted_total", COUNTER, "ingest", "origin", "Leads committed and answered 201")
PLUMB_METRIC(LEADS_REJECTED, "plumb_leads_rejected_total", COUNTER, "ingest", "reason", "Leads refused, by error code")
PLUMB_METRIC(COMMIT_LEADS, "plumb_commit_leads", BATCH, "ingest", "", "Leads in one transaction")
PLUMB_METRIC(COMMIT_SECONDS, "plumb_commit_duration_seconds", REQUEST, "ingest", "", "Time of one committing statement")
PLUMB_METRIC(INTAKE_WAITING, "plumb_intake_waiting", GAUGE, "ingest", "", "Leads that wait for a commit")
PLUMB_METRIC(INTAKE_GATHER, "plumb_intake_gather_microseconds", GAUGE, "ingest", "", "Wait for a larger commit, since deliveries lag behind")
PLUMB_METRIC(HANDED_OVER, "plumb_jobs_handed_over_total", COUNTER, "ingest", "path", "Deliveries by how they leave intake: queued, pending, skipped")

PLUMB_METRIC(QUEUE_WAITING, "plumb_queue_waiting", GAUGE, "broker", "channel", "Jobs that wait for a worker")
PLUMB_METRIC(QUEUE_ASSIGNED, "plumb_queue_assigned", GAUGE, "broker", "channel", "Jobs that a worker holds")
PLUMB_METRIC(QUEUE_OLDEST, "plumb_queue_oldest_age_seconds", GAUGE, "broker", "channel", "Age of the job that has waited longest")
PLUMB_METRIC(BROKER_HELD, "plumb_broker_held_bytes", GAUGE, "broker", "", "Bytes of jobs held")
PLUMB_METRIC(BROKER_TICKETS, "plumb_broker_tickets", GAUGE, "broker", "", "Tickets kept until the tracker's ack")
PLUMB_METRIC(BROKER_JOBS, "plumb_broker_jobs_total", COUNTER, "broker", "fate", "Jobs by what became of them: taken, known, stale, given_up, handed_out, returned, lost")
PLUMB_METRIC(BREAKER_OPEN, "plumb_channel_breaker_open", GAUGE, "broker", "channel", "Credentials whose breaker is open")

PLUMB_METRIC(CALLS, "plumb_worker_calls", GAUGE, "worker", "", "Calls in flight")
PLUMB_METRIC(UNACKED, "plumb_worker_unacked_results", GAUGE, "worker", "", "Results that wait for the tracker's ack")
PLUMB_METRIC(ATTEMPTS, "plumb_delivery_attempts_total", COUNTER, "worker", "channel,outcome", "Attempts by their outcome")
PLUMB_METRIC(ATTEMPT_SECONDS, "plumb_delivery_attempt_duration_seconds", ATTEMPT, "worker", "channel", "Time of one attempt")
PLUMB_METRIC(WORKER_FENCED, "plumb_worker_fenced_total", COUNTER, "worker", "", "Times the broker's answers stayed away for too long")
PLUMB_METRIC(CHANNEL_LOADS, "plumb_channel_loads_total", COUNTER, "worker", "result", "Plugins loaded, replaced, refused, removed")

PLUMB_METRIC(DELIVERY_LATENCY, "plumb_delivery_latency_seconds", LATENCY, "tracker", "channel", "From stored to confirmed")
PLUMB_METRIC(DELIVERY_STATES, "plumb_delivery_transitions_total", COUNTER, "tracker", "state", "Deliveries by the state they came to")
PLUMB_METRIC(DEAD_LETTERS, "plumb_dead_letters", GAUGE, "tracker", "channel", "Failed and not yet resent")
PLUMB_METRIC(OUTBOX_OLDEST, "plumb_outbox_oldest_age_seconds", GAUGE, "tracker", "", "Age of the oldest pending delivery that is due")
PLUMB_METRIC(TRACKER_LAG, "plumb_tracker_lag_seconds", GAUGE, "tracker", "", "Age of the oldest result not yet committed")
PLUMB_METRIC(RESULT_GROUP, "plumb_result_group", BATCH, "tracker", "", "Results in one transaction")
PLUMB_METRIC(RESULTS, "plumb_results_total", COUNTER, "tracker", "verdict", "Results: counted, late, repeated, unknown")
PLUMB_METRIC(FED, "plumb_fed_total", COUNTER, "tracker", "", "Pending deliveries handed to a broker")
PLUMB_METRIC(EPOCHS_DEAD, "plumb_epochs_dead_total", COUNTER, "tracker", "", "Starts of a broker that were declared dead")
PLUMB_METRIC(COUNTERS_FOLDED, "plumb_counters_folded_total", COUNTER, "tracker", "", "Rows of lead_deltas added to the leads' counters")
PLUMB_METRIC(REQUEUED, "plumb_requeued_total", COUNTER, "tracker", "reason", "Deliveries taken back: epoch, lost, given_up, missing")
/* clang-format on */
