/* The plaintext of a lead's sealed frame: a msgpack map of texts, from column to value.  Names of
 * columns, since those of the API may change while frames are kept for years. */
#include "json_pack.h"
#include "lead.h"

#include <string.h>

static bool is_sealed(int attr)
{
    return (plumb_lead_attrs[attr].flags & PLUMB_ATTR_SEALED) != 0;
}

int plumb_lead_personal_pack(plumb_buf_t *out, const plumb_lead_t *lead, plumb_err_t *err)
{
    msgpack_packer packer = plumb_packer(out);
    size_t count = 0;
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        count += is_sealed(i) && lead->value[i].data != NULL;
    msgpack_pack_map(&packer, count);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_slice_t *value = &lead->value[i];
        if (!is_sealed(i) || value->data == NULL)
            continue;
        const char *column = plumb_lead_attrs[i].column;
        plumb_pack_text(&packer, column, strlen(column));
        plumb_pack_text(&packer, value->data, value->length);
    }
    return out->failed ? plumb_err_set(err, PLUMB_E_MEMORY, "pack personal data") : 0;
}

/* ---- reading ---- */

typedef struct cursor {
    const uint8_t *at, *end;
} cursor_t;

static bool take(cursor_t *c, size_t length)
{
    if ((size_t)(c->end - c->at) < length)
        return false;
    c->at += length;
    return true;
}

/* A big endian number of `bytes` bytes. */
static bool take_number(cursor_t *c, size_t bytes, size_t *value)
{
    const uint8_t *from = c->at;
    if (!take(c, bytes))
        return false;
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value = *value << 8 | from[i];
    return true;
}

static bool take_map(cursor_t *c, size_t *count)
{
    size_t head;
    if (!take_number(c, 1, &head))
        return false;
    if (head == 0xde) /* map 16 */
        return take_number(c, 2, count);
    *count = head & 0x0f;
    return (head & 0xf0) == 0x80;
}

static bool take_text(cursor_t *c, plumb_slice_t *text)
{
    size_t head, length;
    if (!take_number(c, 1, &head))
        return false;
    if ((head & 0xe0) == 0xa0)
        length = head & 0x1f;
    else if (head < 0xd9 || head > 0xdb || !take_number(c, (size_t)1 << (head - 0xd9), &length))
        return false; /* str 8, 16, 32 */
    *text = (plumb_slice_t){(const char *)c->at, length};
    return take(c, length);
}

static void set(plumb_lead_t *lead, const plumb_slice_t *column, const plumb_slice_t *value)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const char *row = plumb_lead_attrs[i].column;
        if (is_sealed(i) && strlen(row) == column->length &&
            memcmp(row, column->data, column->length) == 0)
            lead->value[i] = *value;
    }
}

static bool unpack(plumb_lead_t *lead, cursor_t *c)
{
    size_t count;
    if (!take_map(c, &count))
        return false;
    for (; count > 0; count--) {
        plumb_slice_t column, value;
        if (!take_text(c, &column) || !take_text(c, &value))
            return false;
        set(lead, &column, &value);
    }
    return c->at == c->end;
}

static void clear(plumb_lead_t *lead)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        if (is_sealed(i))
            lead->value[i] = (plumb_slice_t){NULL, 0};
}

int plumb_lead_personal_unpack(plumb_lead_t *lead, const void *plain, size_t length,
                               plumb_err_t *err)
{
    cursor_t c = {plain, (const uint8_t *)plain + length};
    clear(lead);
    if (unpack(lead, &c))
        return 0;
    clear(lead);
    return plumb_err_set(err, PLUMB_E_SEAL, "%zu bytes that are no lead's personal data", length);
}
