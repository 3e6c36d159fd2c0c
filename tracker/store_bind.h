/* What the files of the store share. */
#ifndef PLUMB_TRACKER_STORE_BIND_H
#define PLUMB_TRACKER_STORE_BIND_H

#include "store.h"

#define STORE_LOCK_CLASS "1886155117" /* 'plum': apart from whoever else locks here */

/* Run with the parameters that s->p holds. */
int store_run(store_t *s, const plumb_stmt_t *stmt, PGresult **r, plumb_err_t *err);
/* The same, for the number of rows it touched. */
int store_count(store_t *s, const plumb_stmt_t *stmt, size_t *rows, plumb_err_t *err);

/* Three arrays: accounts, deliveries, attempts. */
void bind_keys(plumb_params_t *p, const delivery_key_t *keys, size_t count);
void bind_slice(plumb_params_t *p, const plumb_slice_t *slice); /* an item; data NULL: SQL NULL */
void bind_name(plumb_params_t *p, const char *name);            /* an item; NULL: SQL NULL */

/* Make the statements that name a lead's columns. */
int store_feed_init(store_t *s, plumb_err_t *err);

#endif
