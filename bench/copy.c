/* COPY of 1,024 leads a commit on one connection: as fast as one writer can store them.
 * usage: copy CONNINFO SECONDS BODY_FILE; prints leads a second. */
#include "buf.h"
#include "clock.h"
#include "uuid.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP 1024

static void fatal(PGconn *conn)
{
    fprintf(stderr, "copy: %s", PQerrorMessage(conn));
    exit(1);
}

static void run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_COPY_IN)
        fatal(conn);
    PQclear(r);
}

static void copy_rows(PGconn *conn, const char *into, const plumb_buf_t *rows)
{
    run(conn, into);
    if (PQputCopyData(conn, rows->data, (int)rows->length) != 1 || PQputCopyEnd(conn, NULL) != 1)
        fatal(conn);
    PGresult *r = PQgetResult(conn);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fatal(conn);
    PQclear(r);
    PQclear(PQgetResult(conn));
}

static void copy_group(PGconn *conn, const char *body, plumb_buf_t *leads, plumb_buf_t *deliveries)
{
    static const char owner[] = "0190c9d2-0000-7000-8000-000000000001";
    char lead[PLUMB_UUID_TEXT], delivery[PLUMB_UUID_TEXT];
    plumb_buf_clear(leads);
    plumb_buf_clear(deliveries);
    for (int i = 0; i < GROUP; i++) {
        plumb_uuid_t a = plumb_uuid_new(), b = plumb_uuid_new();
        plumb_uuid_text(&a, lead);
        plumb_uuid_text(&b, delivery);
        plumb_buf_printf(leads, "%s\t%s\t%s\t%s\t%s\tNew\t%s\n", owner, lead, owner, owner, owner,
                         body);
        plumb_buf_printf(deliveries,
                         "%s\t%s\t%s\t%s\twebhooks\tqueued\t1\t1\t2026-01-01\t2027-01-01\n", owner,
                         delivery, lead, owner);
    }
    run(conn, "BEGIN");
    copy_rows(
        conn,
        "COPY bench_leads (account_id, id, user_id, project_id, quiz_id, status, data) FROM STDIN",
        leads);
    copy_rows(conn,
              "COPY bench_deliveries (account_id, id, lead_id, credential_id, channel, state, "
              "attempt, epoch, queued_at, "
              "deadline_at) FROM STDIN",
              deliveries);
    run(conn, "COMMIT");
}

/* The sample body, with COPY's backslashes doubled. */
static void read_body(const char *path, plumb_buf_t *body)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    int c;
    while ((c = getc(file)) != EOF && c != '\n')
        plumb_buf_printf(body, "%s%c", c == '\\' ? "\\" : "", c);
    fclose(file);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: copy CONNINFO SECONDS BODY_FILE\n");
        return 2;
    }
    PGconn *conn = PQconnectdb(argv[1]);
    if (PQstatus(conn) != CONNECTION_OK)
        fatal(conn);
    plumb_buf_t leads = {0}, deliveries = {0}, body = {0};
    read_body(argv[3], &body);
    int64_t begun = plumb_mono_ms(), end = begun + atoll(argv[2]) * 1000, groups = 0;
    for (; plumb_mono_ms() < end; groups++)
        copy_group(conn, body.data, &leads, &deliveries);
    printf("%.1f\n", (double)(groups * GROUP) * 1000 / (double)(plumb_mono_ms() - begun));
    plumb_buf_fini(&leads);
    plumb_buf_fini(&deliveries);
    plumb_buf_fini(&body);
    PQfinish(conn);
    return 0;
}
