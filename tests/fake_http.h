/* A receiver for tests on 127.0.0.1 that behaves as badly as the path says, and remembers what it
 * got.
 *
 *   …wait=<ms>…        answers later
 *   /hang-on?contact   200; with another query it hangs
 *   /ok /json          200, "ok" or {"data":{"id":"R-7"},"n":7}
 *   /status/<n>?k=v&…  that status; each k=v becomes a header ("Retry-After=7")
 *   /hang              reads the request, answers nothing, waits for the client to go
 *   /close             reads the request, closes
 *   /reset             reads the request, resets the connection
 *   /early             resets before reading
 *   /partial           promises 1000 bytes, sends 10, closes
 *   /drip              a head, then a byte now and then
 *   /big               200 and a gigabyte (chunked where "?chunked")
 *   /redirect          302 to this server's /ok
 *   /flood             a head of endless headers
 *   /garbage           no HTTP
 *   /once              200 to the first request of a connection; reads the next and closes */
#ifndef PLUMB_TESTS_FAKE_HTTP_H
#define PLUMB_TESTS_FAKE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fake_http fake_http_t;

fake_http_t *fake_http_start(void);
void fake_http_stop(fake_http_t **stopped);
int fake_http_port(const fake_http_t *http);

/* Whole requests read so far, and connections accepted. */
int fake_http_requests(fake_http_t *http);
int fake_http_connections(fake_http_t *http);

/* Head (request line and headers) and body of request `index`, copied with NUL; "" when not there.
 */
void fake_http_head(fake_http_t *http, int index, char *out, size_t size);
void fake_http_body(fake_http_t *http, int index, char *out, size_t size);
/* The value of one of its headers. */
void fake_http_header(fake_http_t *http, int index, const char *name, char *out, size_t size);

#endif
