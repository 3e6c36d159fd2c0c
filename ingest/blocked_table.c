/* Every value is a hash of 64 bits among sorted ones: at 100,000 entries seventeen comparisons.  A
 * prefix is the address cut to its length, so an address is looked up once for each length there
 * is. */
#include "blocked_table.h"

#include "cidr.h"

#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS 16
#define MAPPED_BITS 96 /* in front of an IPv4 address */

static const char *const names[BLOCKED_KINDS] = {"phone", "email", "domain", "ip", "fingerprint"};

blocked_kind_t blocked_kind_find(const char *name)
{
    blocked_kind_t kind = BLOCKED_PHONE;
    while (kind < BLOCKED_KINDS && strcmp(names[kind], name) != 0)
        kind++;
    return kind;
}

const char *blocked_kind_name(blocked_kind_t kind)
{
    return names[kind];
}

bool blocked_init(blocked_table_t *table, size_t count)
{
    *table = (blocked_table_t){.capacity = count};
    if (count > 0)
        table->entries = calloc(count, sizeof *table->entries);
    return count == 0 || table->entries != NULL;
}

void blocked_fini(blocked_table_t *table)
{
    free(table->entries);
    *table = (blocked_table_t){.count = 0};
}

/* ---- keys ---- */

/* Blockers and blocked choose values, so that neither can make one pass for another. */
static uint64_t key_of(blocked_kind_t kind, unsigned bits, const void *data, size_t length)
{
    uint8_t key[crypto_generichash_KEYBYTES] = {(uint8_t)kind, (uint8_t)bits};
    uint8_t hash[crypto_generichash_BYTES_MIN];
    uint64_t out;
    crypto_generichash(hash, sizeof hash, data, length, key, sizeof key);
    memcpy(&out, hash, sizeof out);
    return out;
}

static void mask(uint8_t out[ADDRESS], const uint8_t address[ADDRESS], unsigned bits)
{
    memset(out, 0, ADDRESS);
    memcpy(out, address, bits / 8);
    if (bits % 8 > 0)
        out[bits / 8] = (uint8_t)(address[bits / 8] & (0xFF00U >> (bits % 8)));
}

static uint64_t key_of_prefix(const uint8_t address[ADDRESS], unsigned bits)
{
    uint8_t prefix[ADDRESS];
    mask(prefix, address, bits);
    return key_of(BLOCKED_IP, bits, prefix, sizeof prefix);
}

/* ---- filling ---- */

static void add(blocked_table_t *table, blocked_kind_t kind, uint64_t key,
                const plumb_uuid_t *project, int64_t until_ms)
{
    if (table->count == table->capacity)
        return;
    table->entries[table->count++] =
        (blocked_entry_t){.key = key, .project = *project, .until_ms = until_ms};
    table->has[kind] = true;
}

void blocked_add_term(blocked_table_t *table, blocked_kind_t kind, int64_t term,
                      const plumb_uuid_t *project, int64_t until_ms)
{
    add(table, kind, key_of(kind, 0, &term, sizeof term), project, until_ms);
}

static bool add_prefix(blocked_table_t *table, const char *text, size_t length,
                       const plumb_uuid_t *project, int64_t until_ms)
{
    plumb_cidr_t cidr;
    uint8_t address[ADDRESS] = {0};
    if (!plumb_cidr_parse(&cidr, text, length) || cidr.port != 0)
        return false;
    unsigned bits = cidr.bits;
    if (cidr.family == AF_INET) {
        address[10] = address[11] = 0xFF;
        memcpy(address + 12, cidr.address, 4);
        bits += MAPPED_BITS;
    } else {
        memcpy(address, cidr.address, sizeof address);
    }
    table->has_bits[bits] = true;
    add(table, BLOCKED_IP, key_of_prefix(address, bits), project, until_ms);
    return true;
}

bool blocked_add_text(blocked_table_t *table, blocked_kind_t kind, const char *text, size_t length,
                      const plumb_uuid_t *project, int64_t until_ms)
{
    if (kind == BLOCKED_IP)
        return add_prefix(table, text, length, project, until_ms);
    add(table, kind, key_of(kind, 0, text, length), project, until_ms);
    return true;
}

static int by_key(const void *left, const void *right)
{
    const blocked_entry_t *a = left, *b = right;
    return (a->key > b->key) - (a->key < b->key);
}

void blocked_sort(blocked_table_t *table)
{
    if (table->count > 1)
        qsort(table->entries, table->count, sizeof *table->entries, by_key);
}

/* ---- looking up ---- */

/* Does an entry of `key` hold for the project now? */
static bool holds(const blocked_table_t *table, uint64_t key, const plumb_uuid_t *project,
                  int64_t now_ms)
{
    size_t low = 0, high = table->count;
    while (low < high) { /* the first that is not below */
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < table->count && table->entries[low].key == key; low++) {
        const blocked_entry_t *e = &table->entries[low];
        if (e->until_ms > now_ms &&
            (plumb_uuid_is_nil(&e->project) || plumb_uuid_compare(&e->project, project) == 0))
            return true;
    }
    return false;
}

static bool holds_term(const blocked_table_t *table, blocked_kind_t kind, const int64_t *term,
                       const plumb_uuid_t *project, int64_t now_ms)
{
    return term != NULL && holds(table, key_of(kind, 0, term, sizeof *term), project, now_ms);
}

/* The domain or one above it. */
static bool holds_domain(const blocked_table_t *table, plumb_slice_t domain,
                         const plumb_uuid_t *project, int64_t now_ms)
{
    while (domain.length > 0) {
        if (holds(table, key_of(BLOCKED_DOMAIN, 0, domain.data, domain.length), project, now_ms))
            return true;
        const char *dot = memchr(domain.data, '.', domain.length);
        if (dot == NULL)
            break;
        domain.length -= (size_t)(dot + 1 - domain.data);
        domain.data = dot + 1;
    }
    return false;
}

static bool holds_address(const blocked_table_t *table, const uint8_t *address,
                          const plumb_uuid_t *project, int64_t now_ms)
{
    for (unsigned bits = 0; address != NULL && bits <= 8 * ADDRESS; bits++)
        if (table->has_bits[bits] && holds(table, key_of_prefix(address, bits), project, now_ms))
            return true;
    return false;
}

blocked_kind_t blocked_match(const blocked_table_t *table, const blocked_query_t *query,
                             int64_t now_ms)
{
    const plumb_uuid_t *project = query->project;
    const plumb_slice_t *mark = &query->fingerprint;
    if (table->has[BLOCKED_PHONE] &&
        holds_term(table, BLOCKED_PHONE, query->phone, project, now_ms))
        return BLOCKED_PHONE;
    if (table->has[BLOCKED_EMAIL] &&
        holds_term(table, BLOCKED_EMAIL, query->email, project, now_ms))
        return BLOCKED_EMAIL;
    if (table->has[BLOCKED_DOMAIN] && holds_domain(table, query->domain, project, now_ms))
        return BLOCKED_DOMAIN;
    if (table->has[BLOCKED_IP] && holds_address(table, query->address, project, now_ms))
        return BLOCKED_IP;
    if (table->has[BLOCKED_FINGERPRINT] && mark->length > 0 &&
        holds(table, key_of(BLOCKED_FINGERPRINT, 0, mark->data, mark->length), project, now_ms))
        return BLOCKED_FINGERPRINT;
    return BLOCKED_KINDS;
}
