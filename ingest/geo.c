/* Geo look-ups.
 *
 * Two maps: one is read, the other is free for the next file.  A reader counts itself in before it
 * makes sure that the map is still the current one; the map that was replaced is closed once nobody
 * is counted in.  The file is copied into memory of our own, since a copy program writes into the
 * file that is there: what is mapped would change under its readers, and be cut. */
#include "geo.h"

#include "buf.h"
#include "log.h"
#include "utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPS = 2, NONE = -1 };

typedef struct map {
    atomic_int readers;
    bool is_open;
    MMDB_s db;
} map_t;

/* What tells one file from another. */
typedef struct mark {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
} mark_t;

struct geo {
    char *file, *language; /* owned */
    map_t maps[MAPS];
    atomic_int current; /* of `maps`, or NONE */
    mark_t seen;
    pthread_mutex_t lock; /* for `why` */
    char why[256];        /* nothing could be taken; "": it was */
};

/* ---- reading ---- */

static map_t *enter(geo_t *g)
{
    for (;;) {
        int at = atomic_load(&g->current);
        if (at == NONE)
            return NULL;
        atomic_fetch_add(&g->maps[at].readers, 1);
        if (atomic_load(&g->current) == at)
            return &g->maps[at];
        atomic_fetch_sub(&g->maps[at].readers, 1);
    }
}

static void leave(map_t *map)
{
    atomic_fetch_sub(&map->readers, 1);
}

/* Copy a text of at most `size` - 1 bytes, cut between characters; what is no text leaves "". */
static bool take(char *out, size_t size, MMDB_entry_s *entry, const char *const *path)
{
    MMDB_entry_data_s data;
    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size == 0 ||
        plumb_utf8_prefix(data.utf8_string, data.data_size) != data.data_size)
        return false;
    size_t length = plumb_utf8_cut(data.utf8_string, data.data_size, size - 1);
    memcpy(out, data.utf8_string, length);
    out[length] = '\0';
    return true;
}

#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

/* MaxMind's own layout, else the flat one of other makers. */
static void read_entry(const geo_t *g, MMDB_entry_s *entry, geo_place_t *place)
{
    char *city = place->city, *region = place->region;
    size_t size = sizeof place->city;
    if (!take(place->country, sizeof place->country, entry, PATH("country", "iso_code")))
        take(place->country, sizeof place->country, entry, PATH("country_code"));
    if (!take(city, size, entry, PATH("city", "names", g->language)) &&
        !take(city, size, entry, PATH("city", "names", "en")))
        take(city, size, entry, PATH("city"));
    if (!take(region, size, entry, PATH("subdivisions", "0", "names", g->language)) &&
        !take(region, size, entry, PATH("subdivisions", "0", "names", "en")) &&
        !take(region, size, entry, PATH("state1")))
        take(region, size, entry, PATH("region"));
    if (!take(place->timezone, sizeof place->timezone, entry, PATH("location", "time_zone")))
        take(place->timezone, sizeof place->timezone, entry, PATH("timezone"));
}

bool geo_find(geo_t *geo, const struct sockaddr *address, geo_place_t *place)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    int error = MMDB_SUCCESS;
    place->city[0] = place->country[0] = place->region[0] = place->timezone[0] = '\0';
    if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        memcpy(&v4.sin_addr, v6->sin6_addr.s6_addr + 12, 4);
        address = (const struct sockaddr *)&v4;
    }
    map_t *map = enter(geo);
    if (map == NULL)
        return false;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&map->db, address, &error);
    if (error == MMDB_SUCCESS && found.found_entry)
        read_entry(geo, &found.entry, place);
    leave(map);
    return place->city[0] != '\0' || place->country[0] != '\0' || place->region[0] != '\0' ||
           place->timezone[0] != '\0';
}

/* ---- taking a file ---- */

static int copy_file(int from, off_t size, int to, plumb_err_t *err)
{
    for (off_t done = 0; done < size;) {
        ssize_t n = sendfile(to, from, NULL, (size_t)(size - done));
        if (n < 0)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "%s", strerror(errno));
        if (n == 0)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "it became shorter while it was read");
        done += n;
    }
    return 0;
}

/* A copy in memory; its descriptor, or an error. */
static int open_copy(const char *file, off_t size, plumb_err_t *err)
{
    int from = open(file, O_RDONLY | O_CLOEXEC);
    int to = from < 0 ? -1 : memfd_create("plumb-geo", MFD_CLOEXEC);
    int rc = to < 0 ? plumb_err_set(err, PLUMB_E_SYSTEM, "%s", strerror(errno))
                    : copy_file(from, size, to, err);
    if (from >= 0)
        close(from);
    if (rc == 0)
        return to;
    if (to >= 0)
        close(to);
    return rc;
}

static int open_map(map_t *map, const char *file, off_t size, plumb_err_t *err)
{
    char path[64];
    int fd = open_copy(file, size, err);
    if (fd < 0)
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int error = MMDB_open(path, MMDB_MODE_MMAP, &map->db);
    close(fd); /* the mapping keeps the memory */
    if (error != MMDB_SUCCESS)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "%s", MMDB_strerror(error));
    map->is_open = true;
    return 0;
}

static void close_map(map_t *map)
{
    if (map->is_open)
        MMDB_close(&map->db);
    map->is_open = false;
}

static void say(geo_t *g, const char *why)
{
    pthread_mutex_lock(&g->lock);
    snprintf(g->why, sizeof g->why, "%s", why);
    pthread_mutex_unlock(&g->lock);
}

/* Close the map that is not current, unless somebody still reads it.  NULL: somebody does. */
static map_t *free_map(geo_t *g)
{
    map_t *map = &g->maps[atomic_load(&g->current) == 0 ? 1 : 0];
    if (atomic_load(&map->readers) > 0)
        return NULL;
    close_map(map);
    return map;
}

/* False: the map for it is still read, so it must be tried again. */
static bool take_file(geo_t *g, const struct stat *about)
{
    plumb_err_t err = {0};
    map_t *map = free_map(g);
    if (map == NULL)
        return false;
    if (open_map(map, g->file, about->st_size, &err) < 0) {
        plumb_log_event(LOG_ERR, "geo_refused", "file=\"%s\" keeps=%s why=\"%s\"", g->file,
                        atomic_load(&g->current) == NONE ? "none" : "old", err.text);
        say(g, err.text);
        return true;
    }
    atomic_store(&g->current, (int)(map - g->maps));
    plumb_log_event(LOG_NOTICE, "geo_loaded", "file=\"%s\" kind=\"%s\"", g->file,
                    map->db.metadata.database_type);
    say(g, "");
    return true;
}

static mark_t mark_of(const struct stat *about)
{
    return (mark_t){about->st_dev, about->st_ino, about->st_size, about->st_mtim};
}

static bool is_same(const mark_t *a, const mark_t *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

void geo_refresh(void *self)
{
    geo_t *g = self;
    struct stat about;
    mark_t mark = {.size = -1}; /* of a file that is not there */
    bool is_there = stat(g->file, &about) == 0;
    if (is_there)
        mark = mark_of(&about);
    if (is_same(&mark, &g->seen)) {
        free_map(g); /* the one that was replaced */
    } else if (!is_there) {
        plumb_log_event(LOG_WARNING, "geo_missing", "file=\"%s\" why=\"%s\"", g->file,
                        strerror(errno));
        say(g, "the file is not there");
        g->seen = mark;
    } else if (take_file(g, &about)) {
        g->seen = mark;
    }
}

/* ---- life ---- */

int geo_new(geo_t **ret, const char *file, const char *language, plumb_err_t *err)
{
    *ret = NULL;
    if (file[0] == '\0') {
        plumb_log_event(LOG_INFO, "geo_off", "why=\"no geo.file\"");
        return 0;
    }
    geo_t *g = calloc(1, sizeof *g);
    if (g == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "geo");
    pthread_mutex_init(&g->lock, NULL);
    atomic_init(&g->current, NONE);
    g->file = strdup(file);
    g->language = strdup(language);
    *ret = g;
    if (g->file == NULL || g->language == NULL) {
        geo_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "geo");
    }
    geo_refresh(g);
    return 0;
}

void geo_destroy(geo_t **geo)
{
    geo_t *g = *geo;
    if (g == NULL)
        return;
    for (int i = 0; i < MAPS; i++)
        close_map(&g->maps[i]);
    pthread_mutex_destroy(&g->lock);
    free(g->file);
    free(g->language);
    free(g);
    *geo = NULL;
}

bool geo_is_here(geo_t *geo, plumb_err_t *err)
{
    pthread_mutex_lock(&geo->lock);
    bool good = geo->why[0] == '\0';
    if (!good)
        plumb_err_set(err, PLUMB_E_UNAVAILABLE, "%s", geo->why);
    pthread_mutex_unlock(&geo->lock);
    return good;
}
