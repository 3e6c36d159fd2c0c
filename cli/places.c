/* Finding what belongs to this program, also when the whole tree was moved or copied. */
#include "places.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEVELS_MAX 3

typedef struct sought {
    const char *name;              /* of the directory */
    const char *witness;           /* what must be in it */
    int levels;                    /* how far above the program it may stand */
    const char *built, *installed; /* known when this was compiled */
} sought_t;

static const sought_t channels = {"channels", ".", 1, PLUMB_CHANNEL_DIR,
                                  PLUMB_INSTALLED_CHANNEL_DIR};
static const sought_t sql = {"sql", "001_pipeline.sql", LEVELS_MAX, PLUMB_SQL_DIR,
                             PLUMB_INSTALLED_SQL_DIR};

static bool is_there(const char *dir, const char *witness)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", dir, witness);
    return length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0;
}

/* In one of the directories above `bin`?  Its canonical path goes to `out`. */
static bool look_upwards(const sought_t *what, const char *bin, char *out, size_t size)
{
    char path[PATH_MAX], canonical[PATH_MAX];
    for (int level = 1; level <= what->levels; level++) {
        int length = snprintf(path, sizeof path, "%s", bin);
        for (int i = 0; i < level; i++)
            length += snprintf(path + length, sizeof path - (size_t)length, "/..");
        snprintf(path + length, sizeof path - (size_t)length, "/%s", what->name);
        if (is_there(path, what->witness) && realpath(path, canonical) != NULL &&
            strlen(canonical) < size) {
            memcpy(out, canonical, strlen(canonical) + 1);
            return true;
        }
    }
    return false;
}

/* The tree this program stands in, the tree it was built in, the place it was installed to. */
static void choose(const sought_t *what, const char *bin, char *out, size_t size)
{
    if (!look_upwards(what, bin, out, size))
        snprintf(out, size, "%s",
                 is_there(what->built, what->witness) ? what->built : what->installed);
}

int places_find(places_t *places, plumb_err_t *err)
{
    ssize_t length = readlink("/proc/self/exe", places->bin, sizeof places->bin - 1);
    if (length < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "find this program's own directory: %s",
                             strerror(errno));
    places->bin[length] = '\0';
    char *slash = strrchr(places->bin, '/');
    if (slash != NULL)
        *slash = '\0';
    choose(&channels, places->bin, places->channels, sizeof places->channels);
    choose(&sql, places->bin, places->sql, sizeof places->sql);
    return 0;
}
