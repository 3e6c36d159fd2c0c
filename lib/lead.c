/* The attribute table, and the places that bind a lead's sealed frames. */
#include "lead.h"

#include <string.h>

/* The words of lead_attrs.h. */
enum {
    CREATE = PLUMB_ATTR_CREATE,
    UPDATE = PLUMB_ATTR_UPDATE,
    NEEDED = PLUMB_ATTR_NEEDED,
    SEALED = PLUMB_ATTR_SEALED,
    FILTER = PLUMB_ATTR_FILTER,
    SORT = PLUMB_ATTR_SORT,
    CHANNEL = PLUMB_ATTR_CHANNEL,
    OPERATE = PLUMB_ATTR_OPERATE
};

/* The words of a lead's attributes of type WORD, which are statuses all; of other types none. */
static const char *const statuses[] = {"New", "AtWork", "Success", "Declined", NULL};
#define words_WORD statuses
#define words_UUID NULL
#define words_TEXT NULL
#define words_CUT NULL
#define words_PHONE NULL
#define words_EMAIL NULL
#define words_IP NULL
#define words_BOOL NULL
#define words_JSON NULL
#define words_TIME NULL

const plumb_attr_t plumb_lead_attrs[PLUMB_LEAD_ATTRS] = {
#define PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help)                                  \
    [PLUMB_LEAD_##id] = {name, column, PLUMB_ATTR_##type, max, flags, help, words_##type},
#include "lead_attrs.h"
#undef PLUMB_LEAD_ATTR
};

enum {
    SEALED_ATTRS = 0
#define PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help) +(((flags)&SEALED) != 0)
#include "lead_attrs.h"
#undef PLUMB_LEAD_ATTR
};
_Static_assert(SEALED_ATTRS == PLUMB_LEAD_ATTRS_SEALED, "lead.h counts the sealed attributes");

/* Counted when it is compiled: each attribute of each lead is looked for. */
static const uint8_t name_lengths[PLUMB_LEAD_ATTRS] = {
#define PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help) sizeof(name) - 1,
#include "lead_attrs.h"
#undef PLUMB_LEAD_ATTR
};

int plumb_lead_attr_find(const char *name, size_t length)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        if (name_lengths[i] == length && memcmp(plumb_lead_attrs[i].name, name, length) == 0)
            return i;
    return -1;
}

/* ---- places ---- */

plumb_seal_place_t plumb_lead_place_key(const plumb_uuid_t *account, const plumb_uuid_t *lead)
{
    return (plumb_seal_place_t){"lead", *account, *lead, "key"};
}

plumb_seal_place_t plumb_lead_place_personal(const plumb_uuid_t *account, const plumb_uuid_t *lead)
{
    return (plumb_seal_place_t){"lead", *account, *lead, "personal"};
}

plumb_seal_place_t plumb_lead_place_exchange(const plumb_uuid_t *account,
                                             const plumb_uuid_t *delivery)
{
    return (plumb_seal_place_t){"delivery", *account, *delivery, "exchange"};
}

plumb_seal_place_t plumb_credential_place(const plumb_uuid_t *account,
                                          const plumb_uuid_t *credential)
{
    return (plumb_seal_place_t){"credential", *account, *credential, "fields"};
}
