/* Cells of returned rows. */
#include "tracker_result.h"

#include <stdlib.h>
#include <string.h>

typedef struct cell {
    bool set;
    int64_t number;
    plumb_uuid_t id;
    const char *text;
} cell_t;

struct pg_result {
    int rows, columns;
    cell_t *cells; /* owned */
};

PGresult *result_new(int columns)
{
    PGresult *r = calloc(1, sizeof *r);
    if (r == NULL)
        abort();
    r->columns = columns;
    return r;
}

void result_row(PGresult *r)
{
    size_t cells = (size_t)r->rows * (size_t)r->columns;
    r->rows++;
    r->cells = realloc(r->cells, (cells + (size_t)r->columns) * sizeof *r->cells);
    if (r->cells == NULL)
        abort();
    memset(r->cells + cells, 0, (size_t)r->columns * sizeof *r->cells);
}

static cell_t *last(PGresult *r, int column)
{
    cell_t *cell = &r->cells[(r->rows - 1) * r->columns + column];
    cell->set = true;
    return cell;
}

void result_int(PGresult *r, int column, int64_t value)
{
    last(r, column)->number = value;
}

void result_uuid(PGresult *r, int column, plumb_uuid_t value)
{
    last(r, column)->id = value;
}

void result_text(PGresult *r, int column, const char *value)
{
    last(r, column)->text = value;
}

/* ---- the other side ---- */

static const cell_t *cell_of(const PGresult *r, int row, int column)
{
    return &r->cells[row * r->columns + column];
}

int sim_ntuples(const PGresult *r)
{
    return r->rows;
}

void sim_clear(PGresult *r)
{
    if (r == NULL)
        return;
    free(r->cells);
    free(r);
}

bool sim_get_null(const PGresult *r, int row, int column)
{
    return !cell_of(r, row, column)->set;
}

bool sim_get_bool(const PGresult *r, int row, int column)
{
    return cell_of(r, row, column)->number != 0;
}

int32_t sim_get_int4(const PGresult *r, int row, int column)
{
    return (int32_t)cell_of(r, row, column)->number;
}

int64_t sim_get_int8(const PGresult *r, int row, int column)
{
    return cell_of(r, row, column)->number;
}

plumb_uuid_t sim_get_uuid(const PGresult *r, int row, int column)
{
    return cell_of(r, row, column)->id;
}

int64_t sim_get_time(const PGresult *r, int row, int column)
{
    return cell_of(r, row, column)->number;
}

const char *sim_get_text(const PGresult *r, int row, int column)
{
    const cell_t *cell = cell_of(r, row, column);
    return cell->text != NULL ? cell->text : "";
}
