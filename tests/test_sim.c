/* The delivery protocol under faults: many seeds, and each of its safeguards taken away in turn.
 *
 * PLUMB_SIM_SEEDS=n runs so many, PLUMB_SIM_SEED=n that one alone, both so many from that one on;
 * PLUMB_SIM_TRACE=1 tells their story. */
#include "sim/sim.h"

#include "count.h"
#include "log.h"

#include <inttypes.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 2500        /* CMakeLists.txt has those from there on */
#define MUTANT_SEEDS 2000 /* one of so many must notice */

static uint64_t number_in(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void keeps_its_promises(void **state)
{
    (void)state;
    uint64_t one = number_in("PLUMB_SIM_SEED", 0);
    uint64_t first = one != 0 ? one : 1;
    uint64_t count = number_in("PLUMB_SIM_SEEDS", one != 0 ? 1 : SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++)
        if (!sim_run(seed, MUTANT_NONE))
            fail_msg("PLUMB_SIM_SEED=%" PRIu64 ": %s", seed, sim.why);
}

static void notices_what_is_missing(void **state)
{
    static const char *const names[MUTANTS] = {
        [MUTANT_FENCE] = "the fence",
        [MUTANT_RESEND] = "repeated results",
        [MUTANT_CUSTODY] = "kept results",
        [MUTANT_FLIGHT] = "the flight file",
        [MUTANT_EARLY_ACK] = "commit before ack",
        [MUTANT_AUDIT] = "the audit",
        [MUTANT_LATE_SUCCESS] = "late success",
        [MUTANT_CENSUS] = "the census",
        [MUTANT_UNACKED] = "the broker's question for acks",
        [MUTANT_UNRECORDED] = "the tracker's answer that there is none",
    };
    (void)state;
    if (getenv("PLUMB_SIM_SEED") != NULL)
        skip();
    for (int mutant = MUTANT_NONE + 1; mutant < MUTANTS; mutant++) {
        uint64_t seed = 1;
        while (seed <= MUTANT_SEEDS && sim_run(seed, (mutant_t)mutant))
            seed++;
        if (seed > MUTANT_SEEDS)
            fail_msg("without %s nothing fails in %d seeds", names[mutant], MUTANT_SEEDS);
        print_message("without %s seed %" PRIu64 " fails: %s\n", names[mutant], seed, sim.why);
        if (!sim_run(seed, MUTANT_NONE))
            fail_msg("seed %" PRIu64 " fails with %s as well", seed, names[mutant]);
    }
}

/* Jitter too is the seed's. */
static uint32_t random_32(void)
{
    return (uint32_t)sim_random();
}

static void random_bytes(void *out, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)out)[i] = (uint8_t)sim_random();
}

static const char *random_name(void)
{
    return "seeded";
}

int main(void)
{
    static randombytes_implementation seeded = {
        .implementation_name = random_name, .random = random_32, .buf = random_bytes};
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_its_promises),
                                       cmocka_unit_test(notices_what_is_missing)};
    randombytes_set_implementation(&seeded);
    if (sodium_init() < 0)
        return 1;
    plumb_log_open("sim", getenv("PLUMB_SIM_LOG") != NULL ? LOG_DEBUG : LOG_EMERG);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
