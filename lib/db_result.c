/* What the server sends back: binary columns, and errors sorted by what the caller can do. */
#include "db_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- columns ---- */

#define EPOCH_2000_MS INT64_C(946684800000)

static uint64_t big_endian(const PGresult *r, int row, int column, int bytes)
{
    assert(PQgetlength(r, row, column) == bytes); /* or the statement's types are not ours */
    const unsigned char *p = (const unsigned char *)PQgetvalue(r, row, column);
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

bool plumb_get_null(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column);
}

bool plumb_get_bool(const PGresult *r, int row, int column)
{
    return big_endian(r, row, column, 1) != 0;
}

int32_t plumb_get_int2(const PGresult *r, int row, int column)
{
    return (int16_t)big_endian(r, row, column, 2);
}

int32_t plumb_get_int4(const PGresult *r, int row, int column)
{
    return (int32_t)big_endian(r, row, column, 4);
}

int64_t plumb_get_int8(const PGresult *r, int row, int column)
{
    return (int64_t)big_endian(r, row, column, 8);
}

plumb_uuid_t plumb_get_uuid(const PGresult *r, int row, int column)
{
    plumb_uuid_t id = {0};
    if (PQgetisnull(r, row, column))
        return id;
    assert(PQgetlength(r, row, column) == sizeof id.b);
    memcpy(id.b, PQgetvalue(r, row, column), sizeof id.b);
    return id;
}

int64_t plumb_get_time(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return 0;
    int64_t us = plumb_get_int8(r, row, column); /* since 2000 */
    int64_t ms = us / 1000 - (us % 1000 < 0);    /* downwards, also before 2000 */
    return ms + EPOCH_2000_MS;
}

const char *plumb_get_text(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column); /* "" for NULL; libpq ends every value with a NUL byte */
}

size_t plumb_get_length(const PGresult *r, int row, int column)
{
    return (size_t)PQgetlength(r, row, column);
}

/* ---- errors ---- */

/* SQLSTATE or the start of one; the first that fits counts. */
static const struct {
    const char *state;
    plumb_code_t code;
} meanings[] = {
    {"40003", PLUMB_E_DB_UNKNOWN},  /* statement completion unknown */
    {"40", PLUMB_E_DB_CONFLICT},    /* rolled back: serialization, deadlock */
    {"55P03", PLUMB_E_DB_CONFLICT}, /* lock not available in time */
    {"57014", PLUMB_E_DB_CONFLICT}, /* canceled, statement_timeout */
    {"22", PLUMB_E_DB_VALUE},       /* data exception */
    {"23", PLUMB_E_DB_VALUE},       /* integrity constraint */
    {"25006", PLUMB_E_DB_AWAY},     /* read-only: a fail-over made it a standby */
    {"26000", PLUMB_E_DB_AWAY},     /* our prepared statement is gone: a new session has it again */
    {"0A000", PLUMB_E_DB_AWAY},     /* a migration changed what it returns: likewise */
    {"08", PLUMB_E_DB_AWAY},        /* connection */
    {"53", PLUMB_E_DB_AWAY},        /* disk full, out of memory, too many connections */
    {"57", PLUMB_E_DB_AWAY},        /* operator intervention */
    {"58", PLUMB_E_DB_AWAY},        /* input or output of the server failed */
};

static plumb_code_t meaning_of(const char *state)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (strncmp(state, meanings[i].state, strlen(meanings[i].state)) == 0)
            return meanings[i].code;
    return PLUMB_E_DATABASE;
}

/* Messages of these classes speak of SQL and of the server, never of values in rows. */
static bool tells_no_values(const char *state)
{
    static const char *const classes[] = {"25", "28", "3D", "40", "42", "53", "55", "57", "58"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(state, classes[i], 2) == 0)
            return true;
    return false;
}

int plumb_db_refused(const PGresult *r, const char *what, plumb_err_t *err)
{
    static const struct {
        int field;
        const char *name;
    } names[] = {{PG_DIAG_CONSTRAINT_NAME, "constraint"},
                 {PG_DIAG_TABLE_NAME, "table"},
                 {PG_DIAG_COLUMN_NAME, "column"},
                 {PG_DIAG_DATATYPE_NAME, "type"}};
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    plumb_err_t unwanted;
    if (err == NULL)
        err = &unwanted;
    plumb_err_set(err, meaning_of(state), "sqlstate %s", state);
    if (tells_no_values(state))
        plumb_err_add(err, "%s", PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = PQresultErrorField(r, names[i].field);
        if (value != NULL)
            plumb_err_add(err, "%s %s", names[i].name, value);
    }
    return plumb_err_add(err, "%s", what);
}
