/* Put before each file of the tracker that is built for the simulation: names that the worker has
 * as well, and those of libraries whose place the files tracker_*.c here take. */
#ifndef PLUMB_SIM_TRACKER_SEAMS_H
#define PLUMB_SIM_TRACKER_SEAMS_H

/* of both rooms */
#define results_init tracker_results_init
#define results_fini tracker_results_fini
#define results_due_ms tracker_results_due_ms
#define tickets_find tracker_tickets_find
#define tickets_fini tracker_tickets_fini

/* libpq and lib/db.h */
#define PQntuples sim_ntuples
#define PQclear sim_clear
#define plumb_get_null sim_get_null
#define plumb_get_bool sim_get_bool
#define plumb_get_int4 sim_get_int4
#define plumb_get_int8 sim_get_int8
#define plumb_get_uuid sim_get_uuid
#define plumb_get_time sim_get_time
#define plumb_get_text sim_get_text
#define plumb_db_generation sim_db_generation

/* the loop's sleep, and its word to systemd */
#define zmq_poll sim_poll
#define plumb_daemon_alive sim_daemon_alive

#endif
