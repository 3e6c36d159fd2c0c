/* JSON:API error documents: everything wrong with a request, reported at once. */
#ifndef INGEST_DOCUMENT_H
#define INGEST_DOCUMENT_H

#include "buf.h"
#include "err.h"

typedef enum document_source {
    SOURCE_NONE,
    SOURCE_POINTER,   /* into the request's document */
    SOURCE_PARAMETER, /* of the query */
    SOURCE_HEADER
} document_source_t;

/* Errors gathered so far; zero-initialised, reused.  `first` decides the answer's status. */
typedef struct problems {
    plumb_buf_t json; /* the error objects, joined by commas */
    unsigned count;
    plumb_code_t first;
} problems_t;

void problems_clear(problems_t *problems);
void problems_fini(problems_t *problems);

/* Add one; `source` goes with `kind`.  At most PROBLEMS_MAX are kept. */
#define PROBLEMS_MAX 100
void problems_add(problems_t *problems, plumb_code_t code, document_source_t kind,
                  const char *source, const char *detail);

/* The same with further members of the error object: ",\"meta\":{…}". */
void problems_add_more(problems_t *problems, plumb_code_t code, document_source_t kind,
                       const char *source, const char *detail, const char *more);

/* Append the document to `out`. */
void problems_document(const problems_t *problems, plumb_buf_t *out);

#endif
