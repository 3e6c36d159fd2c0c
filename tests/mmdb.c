/* Writing MaxMind DB, version 2.0. */
#include "mmdb.h"

#include "buf.h"
#include "cidr.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 8192
#define SEPARATOR 16

enum { UTF8 = 2, UINT16 = 5, UINT32 = 6, MAP = 7, UINT64 = 9, ARRAY = 11 };

/* A record: 0 nothing, above 0 a node, below 0 the place -1 - value. */
typedef struct node {
    int32_t record[2];
} node_t;

typedef struct tree {
    node_t nodes[NODES_MAX];
    uint32_t count;
} tree_t;

static void fatal(const char *what, const char *text)
{
    fprintf(stderr, "mmdb: %s: %s\n", what, text);
    exit(EXIT_FAILURE);
}

/* ---- data ---- */

static void put_byte(plumb_buf_t *out, unsigned byte)
{
    uint8_t one = (uint8_t)byte;
    plumb_buf_put(out, &one, 1);
}

static void put_control(plumb_buf_t *out, unsigned type, size_t size)
{
    unsigned low = size < 29 ? (unsigned)size : size < 285 ? 29 : 30;
    put_byte(out, (type < 8 ? type << 5 : 0) | low);
    if (type >= 8)
        put_byte(out, type - 7);
    if (low == 29) {
        put_byte(out, (unsigned)size - 29);
    } else if (low == 30) {
        put_byte(out, (unsigned)(size - 285) >> 8);
        put_byte(out, (unsigned)(size - 285) & 0xFF);
    }
}

static void put_text(plumb_buf_t *out, const char *text)
{
    put_control(out, UTF8, strlen(text));
    plumb_buf_text(out, text);
}

static void put_number(plumb_buf_t *out, unsigned type, size_t size, uint64_t number)
{
    put_control(out, type, size);
    while (size-- > 0)
        put_byte(out, (unsigned)(number >> (8 * size)) & 0xFF);
}

static void put_pair(plumb_buf_t *out, const char *key, const char *value)
{
    if (value == NULL)
        return;
    put_text(out, key);
    put_text(out, value);
}

static size_t given(const char *a, const char *b)
{
    return (size_t)(a != NULL) + (size_t)(b != NULL);
}

/* "names": {"ru": …, "en": …} as the only member */
static void put_names(plumb_buf_t *out, const char *ru, const char *en)
{
    put_control(out, MAP, 1);
    put_text(out, "names");
    put_control(out, MAP, given(ru, en));
    put_pair(out, "ru", ru);
    put_pair(out, "en", en);
}

static void put_layered(plumb_buf_t *out, const mmdb_place_t *p)
{
    bool city = given(p->city_ru, p->city_en) > 0, region = given(p->region_ru, p->region_en) > 0;
    put_control(out, MAP, city + region + given(p->country, p->timezone));
    if (city) {
        put_text(out, "city");
        put_names(out, p->city_ru, p->city_en);
    }
    if (region) {
        put_text(out, "subdivisions");
        put_control(out, ARRAY, 1);
        put_names(out, p->region_ru, p->region_en);
    }
    if (p->country != NULL) {
        put_text(out, "country");
        put_control(out, MAP, 1);
        put_pair(out, "iso_code", p->country);
    }
    if (p->timezone != NULL) {
        put_text(out, "location");
        put_control(out, MAP, 1);
        put_pair(out, "time_zone", p->timezone);
    }
}

static void put_flat(plumb_buf_t *out, const mmdb_place_t *p)
{
    put_control(out, MAP, given(p->country, p->city_en) + given(p->region_en, p->timezone));
    put_pair(out, "country_code", p->country);
    put_pair(out, "city", p->city_en);
    put_pair(out, "state1", p->region_en);
    put_pair(out, "timezone", p->timezone);
}

/* ---- the tree ---- */

/* The network as 128 bits; IPv4 lies in ::/96. */
static unsigned bits_of(const char *network, uint8_t bits[16])
{
    plumb_cidr_t cidr;
    if (!plumb_cidr_parse(&cidr, network, strlen(network)))
        fatal("no network", network);
    memset(bits, 0, 16);
    if (cidr.family == AF_INET6) {
        memcpy(bits, cidr.address, 16);
        return cidr.bits;
    }
    memcpy(bits + 12, cidr.address, 4);
    return 96 + cidr.bits;
}

static void insert(tree_t *tree, const char *network, int32_t place)
{
    uint8_t bits[16];
    unsigned length = bits_of(network, bits);
    uint32_t at = 0;
    for (unsigned i = 0; i < length; i++) {
        int32_t *record = &tree->nodes[at].record[(bits[i / 8] >> (7 - i % 8)) & 1];
        if (i + 1 == length) {
            *record = -1 - place;
        } else if (*record <= 0) {
            if (tree->count == NODES_MAX)
                fatal("too many nodes", network);
            *record = (int32_t)tree->count++;
        }
        at = (uint32_t)*record;
    }
}

static void put_tree(plumb_buf_t *out, const tree_t *tree, const size_t *offsets)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        for (int side = 0; side < 2; side++) {
            int32_t record = tree->nodes[i].record[side];
            size_t value = tree->count;
            if (record > 0)
                value = (size_t)record;
            else if (record < 0)
                value = tree->count + SEPARATOR + offsets[-1 - record];
            put_byte(out, (unsigned)(value >> 16) & 0xFF);
            put_byte(out, (unsigned)(value >> 8) & 0xFF);
            put_byte(out, (unsigned)value & 0xFF);
        }
    }
}

static void put_metadata(plumb_buf_t *out, uint32_t node_count)
{
    plumb_buf_text(out, "\xab\xcd\xefMaxMind.com");
    put_control(out, MAP, 9);
    put_text(out, "node_count");
    put_number(out, UINT32, 4, node_count);
    put_text(out, "record_size");
    put_number(out, UINT16, 2, 24);
    put_text(out, "ip_version");
    put_number(out, UINT16, 2, 6);
    put_pair(out, "database_type", "Plumb-Test-City");
    put_text(out, "languages");
    put_control(out, ARRAY, 1);
    put_text(out, "en");
    put_text(out, "binary_format_major_version");
    put_number(out, UINT16, 2, 2);
    put_text(out, "binary_format_minor_version");
    put_number(out, UINT16, 2, 0);
    put_text(out, "build_epoch");
    put_number(out, UINT64, 8, 1);
    put_text(out, "description");
    put_control(out, MAP, 0);
}

void mmdb_write(const char *path, const mmdb_place_t *places, size_t count)
{
    tree_t *tree = calloc(1, sizeof *tree);
    size_t *offsets = calloc(count + 1, sizeof *offsets);
    plumb_buf_t data = {0}, out = {0};
    if (tree == NULL || offsets == NULL)
        fatal("memory", path);
    tree->count = 1;
    for (size_t i = 0; i < count; i++) {
        offsets[i] = data.length;
        if (places[i].is_flat)
            put_flat(&data, &places[i]);
        else
            put_layered(&data, &places[i]);
        insert(tree, places[i].network, (int32_t)i);
    }
    put_tree(&out, tree, offsets);
    for (int i = 0; i < SEPARATOR; i++)
        put_byte(&out, 0);
    plumb_buf_put(&out, data.data, data.length);
    put_metadata(&out, tree->count);
    FILE *file = fopen(path, "wb");
    if (file == NULL || out.failed || fwrite(out.data, 1, out.length, file) != out.length ||
        fclose(file) != 0)
        fatal("write", path);
    plumb_buf_fini(&data);
    plumb_buf_fini(&out);
    free(offsets);
    free(tree);
}
