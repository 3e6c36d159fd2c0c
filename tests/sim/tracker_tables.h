/* The tables in memory, for tracker_store_*.c.  Each function there does what its statement does,
 * with the same conditions; a transaction is a copy that is put back. */
#ifndef PLUMB_SIM_TRACKER_TABLES_H
#define PLUMB_SIM_TRACKER_TABLES_H

#include "sim.h"
#include "store.h"

#define DB_EPOCHS 64
#define DB_ATTEMPTS 64

typedef struct sim_row {
    bool in;
    delivery_row_t row;
    uint64_t epoch;
    int64_t queued_us, created_ms;
    uint16_t known[DB_ATTEMPTS]; /* outcomes in the attempt log, a bit each */
} sim_row_t;

typedef struct sim_epoch {
    uint64_t id;
    int64_t seen_ms;
    bool dead;
    char broker[32];
} sim_epoch_t;

typedef struct tables {
    sim_row_t rows[SIM_DELIVERIES];
    sim_epoch_t epochs[DB_EPOCHS];
    size_t epoch_count;
    credential_row_t credentials[SIM_CREDENTIALS];
    int64_t last_us; /* of now(), which never says the same twice */
} tables_t;

extern tables_t db;

int64_t db_ms(void);
int64_t db_us(void);

int db_away(plumb_err_t *err);             /* 0: it is not */
int db_join(store_t *s, plumb_err_t *err); /* begin, unless within a transaction */

/* The transaction records an attempt as lost. */
void db_lost(const plumb_ticket_t *ticket);

size_t db_index(const plumb_uuid_t *id); /* of a delivery; SIM_DELIVERIES: not known */
/* NULL: there is none. */
sim_row_t *db_row(const plumb_uuid_t *id);
sim_row_t *db_queued_row(const plumb_ticket_t *ticket);
sim_epoch_t *db_epoch(uint64_t id);
bool db_epoch_is_alive(uint64_t id);

int db_credential(const plumb_uuid_t *id); /* its place */
bool db_resends(int credential);

#endif
