/* The lead as API clients see it. */
#include "lead.h"

/* Beginning of each member, so that an answer takes no escaping of names. */
static const plumb_slice_t openings[PLUMB_LEAD_ATTRS] = {
#define PLUMB_LEAD_ATTR(id, name, column, type, max, flags, help)                                  \
    {",\"" name "\":", sizeof ",\"" name "\":" - 1},
#include "lead_attrs.h"
#undef PLUMB_LEAD_ATTR
};

static void put_value(plumb_buf_t *out, plumb_attr_type_t type, const plumb_slice_t *value)
{
    if (value->data == NULL)
        plumb_buf_put(out, "null", 4);
    else if (type == PLUMB_ATTR_BOOL || type == PLUMB_ATTR_JSON)
        plumb_buf_put(out, value->data, value->length);
    else
        plumb_buf_json(out, value->data, value->length);
}

void plumb_lead_attributes_json(plumb_buf_t *out, const plumb_lead_t *lead)
{
    plumb_buf_put(out, "{", 1);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        size_t comma = i == 0; /* the first goes without */
        plumb_buf_put(out, openings[i].data + comma, openings[i].length - comma);
        put_value(out, plumb_lead_attrs[i].type, &lead->value[i]);
    }
    plumb_buf_put(out, "}", 1);
}
