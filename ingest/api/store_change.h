/* The SQL of changes, made of the tables of types and attributes. */
#ifndef INGEST_API_STORE_CHANGE_H
#define INGEST_API_STORE_CHANGE_H

#include "../readers.h"
#include "buf.h"
#include "msg.h"
#include "type.h"

/* Statements of one type. */
typedef struct change_stmts {
    plumb_buf_t lock_sql, insert_sql, update_sql, remove_sql; /* owned */
    plumb_stmt_t lock, insert, update, remove;
    char names[4][32];
} change_stmts_t;

typedef struct change_store {
    change_stmts_t types[API_TYPES];  /* of those that may be changed; leads have their own */
    plumb_buf_t lock_sql, change_sql; /* owned; of leads */
    plumb_stmt_t lock_lead, change_leads;
} change_store_t;

int change_store_init(change_store_t *store, plumb_err_t *err);
void change_store_fini(change_store_t *store);

/* What is meant: a row of the account, and of the project unless that is nil. */
typedef struct change_target {
    const api_type_t *type;
    plumb_uuid_t account, id, project;
} change_target_t;

/* Lock the row until the end of the transaction; its version (0: it has none) goes to `version`.
 * NOT_FOUND. */
int store_change_lock(const change_store_t *store, reader_t *reader, const change_target_t *target,
                      int64_t *version, plumb_err_t *err);

/* Make a row of `columns`, a JSON object from column to value.  CONFLICT: it would be there twice.
 */
int store_change_insert(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, const plumb_buf_t *columns,
                        plumb_err_t *err);

/* Change what `columns` names. */
int store_change_update(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, const plumb_buf_t *columns,
                        plumb_err_t *err);

/* Put the row away, or remove it, as its type says. */
int store_change_remove(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, plumb_err_t *err);

/* Is there a live one, which may be named by who is bound to the target's project? */
int store_change_exists(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, bool *there, plumb_err_t *err);

/* Is the quiz one of the project? */
int store_change_quiz_in(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *quiz,
                         const plumb_uuid_t *project, bool *is_in, plumb_err_t *err);

/* ---- leads (store_change_leads.c) ---- */

/* Their share of change_store_init and _fini.  False: no memory. */
bool change_store_init_leads(change_store_t *store);
void change_store_fini_leads(change_store_t *store);

/* Lock a lead, put away or not; columns as plumb_lead_select_list has them.  NOT_FOUND.  The result
 * is the caller's (PQclear). */
int store_change_lock_lead(const change_store_t *store, reader_t *reader,
                           const change_target_t *target, PGresult **r, plumb_err_t *err);

/* The lead's terms (leads.terms), a row each. */
int store_change_terms(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                       PGresult **r, plumb_err_t *err);

/* Does the quiz (its id as text) want phones and mail addresses in their normal forms? */
int store_change_normalises(reader_t *reader, const plumb_uuid_t *account,
                            const plumb_slice_t *quiz, bool *normalises, plumb_err_t *err);

/* One change of some leads, which are locked. */
typedef struct lead_change {
    const plumb_buf_t *columns; /* JSON object from column to value */
    const char *made_by;
    bool is_update;      /* what changes is not told by status, paid, blocked, … alone */
    int64_t deadline_ms; /* of deliveries that it lets go */
} lead_change_t;

/* Change them all alike, with all that follows: counters, history, events, deliveries that are held
 * or let go. */
int store_change_leads(const change_store_t *store, reader_t *reader, const plumb_uuid_t *account,
                       const plumb_uuid_t *ids, size_t count, const lead_change_t *change,
                       plumb_err_t *err);

#endif
