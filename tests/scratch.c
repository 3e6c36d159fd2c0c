/* Private directories. */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int scratch_setup(void **state)
{
    char path[] = "/tmp/plumb-test-XXXXXX";
    if (mkdtemp(path) == NULL)
        return -1;
    *state = strdup(path);
    return *state == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *is, int kind, struct FTW *walk)
{
    (void)is;
    (void)kind;
    (void)walk;
    return remove(path);
}

int scratch_teardown(void **state)
{
    int rc = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

const char *scratch_path(void **state, const char *prefix, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s%s/%s", prefix, (const char *)*state, name);
    return path;
}
