/* Random bytes for keys and nonces from a stock of each thread's own. */
#ifndef INGEST_ENTROPY_H
#define INGEST_ENTROPY_H

/* Let libsodium take its random bytes from here; before anything else uses it. */
void entropy_use(void);

#endif
