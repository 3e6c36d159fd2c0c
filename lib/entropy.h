/* Random bytes for keys and nonces from a stock of each thread's own. */
#ifndef PLUMB_ENTROPY_H
#define PLUMB_ENTROPY_H

/* Let libsodium take its random bytes from here; before anything else uses it. */
void plumb_entropy_use(void);

#endif
