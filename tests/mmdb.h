/* A small MaxMind DB file, written by the published format: IPv6 tree of 24-bit records. */
#ifndef PLUMB_TESTS_MMDB_H
#define PLUMB_TESTS_MMDB_H

#include <stdbool.h>
#include <stddef.h>

/* What is known of a network; NULL: left out. */
typedef struct mmdb_place {
    const char *network; /* "192.0.2.0/24", "2001:db8::/32" */
    bool is_flat;        /* country_code, city, state1, timezone; else MaxMind's own layout */
    const char *country, *city_ru, *city_en, *region_ru, *region_en, *timezone;
} mmdb_place_t;

/* Write it over what is at `path`, into the same file.  What goes wrong ends the program. */
void mmdb_write(const char *path, const mmdb_place_t *places, size_t count);

#endif
