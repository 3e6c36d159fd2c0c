/* Rows as a statement returns them: cells instead of libpq's bytes. */
#ifndef PLUMB_SIM_TRACKER_RESULT_H
#define PLUMB_SIM_TRACKER_RESULT_H

#include "uuid.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

PGresult *result_new(int columns);
void result_row(PGresult *r); /* the cells below go to the newest row */
void result_int(PGresult *r, int column, int64_t value);
void result_uuid(PGresult *r, int column, plumb_uuid_t value);
void result_text(PGresult *r, int column, const char *value); /* borrowed */

int sim_ntuples(const PGresult *r);
void sim_clear(PGresult *r);
bool sim_get_null(const PGresult *r, int row, int column);
bool sim_get_bool(const PGresult *r, int row, int column);
int32_t sim_get_int4(const PGresult *r, int row, int column);
int64_t sim_get_int8(const PGresult *r, int row, int column);
plumb_uuid_t sim_get_uuid(const PGresult *r, int row, int column);
int64_t sim_get_time(const PGresult *r, int row, int column);
const char *sim_get_text(const PGresult *r, int row, int column);

#endif
