/* Lists of resources. */
#ifndef INGEST_API_LIST_H
#define INGEST_API_LIST_H

#include "reading.h"

/* Answer with the page that the query asks for. */
void list_answer(reading_t *r);

#endif
