/* SQL of changing keys (store_keys.c): jobs, what they walk, what they write. */
#ifndef PLUMB_TRACKER_STORE_KEYS_H
#define PLUMB_TRACKER_STORE_KEYS_H

#include "store.h"

/* A row of key_jobs (sql/007_keys.sql). */
typedef struct key_job {
    plumb_uuid_t id, account; /* nil: the keys of all accounts */
    int32_t key;              /* 0: not made yet */
    int32_t pass, place;
    plumb_uuid_t at_id;
    int32_t at_key;
    int64_t expected, seen, older, unopened, changed;
    int64_t wait_ms;     /* until the next page */
    int64_t pass_age_ms; /* of the key when this pass began; below 0: it has not begun */
    bool begins;         /* a pass: written down with the server's time */
    bool finished;
    const char *note; /* NULL: none */
} key_job_t;

/* The job that is due longest, locked (in a transaction); `found` false: none. */
int store_key_job(store_t *s, key_job_t *job, bool *found, plumb_err_t *err);
int store_write_key_job(store_t *s, const key_job_t *job, plumb_err_t *err);

/* The account's next version, under `wrapped`; `expected` rows will be under it. */
int store_next_key(store_t *s, const plumb_uuid_t *account, int32_t *key, int64_t *expected,
                   plumb_err_t *err);
int store_add_key(store_t *s, const plumb_uuid_t *account, int32_t key, const plumb_buf_t *wrapped,
                  plumb_err_t *err);

/* Remove the account's versions below `key`; `removed` of them were. */
int store_remove_keys(store_t *s, const plumb_uuid_t *account, int32_t key, size_t *removed,
                      plumb_err_t *err);

/* A column that holds frames under the account's key. */
typedef struct sealed_column {
    const char *purpose, *part; /* of their places; the subject is the row's id */
    plumb_stmt_t page, write;
} sealed_column_t;
extern const sealed_column_t sealed_columns[];
extern const size_t sealed_column_count;

/* Frames that take another's place, for the rows of a page. */
typedef struct fresh_frame {
    int row;           /* of the page */
    size_t begin, end; /* in the buffer of frames */
} fresh_frame_t;

/* The page behind `job->at_id`: the frame is NULL unless it is under another version. */
enum { PAGE_ID, PAGE_FRAME };
int store_sealed_page(store_t *s, const sealed_column_t *column, const key_job_t *job, int limit,
                      PGresult **r, plumb_err_t *err);

/* Rows whose frame is still that of the page get the fresh one; `written` did. */
int store_write_sealed(store_t *s, const sealed_column_t *column, const plumb_uuid_t *account,
                       const PGresult *page, const fresh_frame_t *list, size_t count,
                       const plumb_buf_t *frames, size_t *written, plumb_err_t *err);

/* The same of the accounts' own keys, by account and version. */
typedef enum wrapped_table {
    WRAPPED_ACCOUNT_KEYS,
    WRAPPED_INDEX_KEYS,
    WRAPPED_TABLES
} wrapped_table_t;
enum { WRAPPED_ACCOUNT, WRAPPED_VERSION, WRAPPED_FRAME };
int store_wrapped_page(store_t *s, wrapped_table_t table, const key_job_t *job, uint32_t master,
                       int limit, PGresult **r, plumb_err_t *err);
int store_write_wrapped(store_t *s, wrapped_table_t table, const PGresult *page,
                        const fresh_frame_t *list, size_t count, const plumb_buf_t *frames,
                        size_t *written, plumb_err_t *err);

#endif
