/* Links to other pages of a list. */
#ifndef INGEST_API_LINKS_H
#define INGEST_API_LINKS_H

#include "../request.h"

/* Append as a JSON string the request's own address without what says which page is meant, then
 * `page`: such as "page%5Bnumber%5D=2", or "" for the first one. */
void links_put_page(plumb_buf_t *out, const request_t *request, const char *page);

#endif
