/* Lists of resources. */
#ifndef INGEST_API_LIST_H
#define INGEST_API_LIST_H

#include "reading.h"

/* Terms of blind indexes by which a list finds leads. */
typedef struct list_terms {
    bool has_key, has_search;
    plumb_key_t index_key;
    plumb_blind_search_t found;
} list_terms_t;

/* Make the terms that the selection's query needs, if any, and put them into the selection, which
 * points to them from then on.  list_terms_fini is due, whatever came. */
int list_terms(reading_t *r, api_selection_t *s, list_terms_t *terms, plumb_err_t *err);
void list_terms_use(api_selection_t *s, const list_terms_t *terms);
void list_terms_fini(list_terms_t *terms);

/* Give the reader's session the settings that these statements want. */
int list_tune(reader_t *reader, plumb_err_t *err);
/* Take them back, for statements that read small tables as a whole. */
int list_untune(reader_t *reader, plumb_err_t *err);
/* Run a statement with the reader's parameters; `name` stands for it in errors. */
int list_query(reader_t *reader, const char *name, const plumb_buf_t *sql, PGresult **rows,
               plumb_err_t *err);

/* Answer with the page that the query asks for. */
void list_answer(reading_t *r);

#endif
