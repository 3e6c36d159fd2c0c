/* Up to half a dozen keys and nonces a lead: the kernel is asked for many at a time, since each
 * call costs more than the bytes. What was handed out is wiped at once.  (libsodium's own generator
 * asks the kernel as often, for the process's number.)  A process that uses this must not fork
 * without exec. */
#include "entropy.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STOCK 1024

static _Thread_local struct {
    size_t left;
    uint8_t bytes[STOCK];
} stock;

static void refill(uint8_t *out, size_t length)
{
    while (length > 0) {
        ssize_t n = getrandom(out, length, 0);
        if (n < 0 && errno != EINTR) /* no kernel of ours refuses; without chance no key is safe */
            abort();
        if (n > 0) {
            out += n;
            length -= (size_t)n;
        }
    }
}

static void take(void *const out, const size_t length)
{
    if (length > STOCK) {
        refill(out, length);
        return;
    }
    if (stock.left < length) {
        refill(stock.bytes, STOCK);
        stock.left = STOCK;
    }
    stock.left -= length;
    memcpy(out, stock.bytes + stock.left, length);
    sodium_memzero(stock.bytes + stock.left, length);
}

static uint32_t take_one(void)
{
    uint32_t one;
    take(&one, sizeof one);
    return one;
}

static const char *name(void)
{
    return "plumb";
}

static void stir(void)
{
    stock.left = 0;
}

void plumb_entropy_use(void)
{
    static randombytes_implementation implementation = {
        .implementation_name = name, .random = take_one, .stir = stir, .buf = take};
    randombytes_set_implementation(&implementation);
}
