/* The lead as PostgreSQL gives it. */
#include "lead.h"

static bool is_column(int attr)
{
    return (plumb_lead_attrs[attr].flags & PLUMB_ATTR_SEALED) == 0;
}

/* Append the expression that makes the attribute's text of its column. */
static void put_column(plumb_buf_t *out, const char *alias, const plumb_attr_t *attr)
{
    switch (attr->type) {
    case PLUMB_ATTR_TIME:
        plumb_buf_printf(out,
                         ", to_char(%s.%s AT TIME ZONE 'UTC', "
                         "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
                         alias, attr->column);
        break;
    case PLUMB_ATTR_IP: /* a cast would add the length of the prefix */
        plumb_buf_printf(out, ", host(%s.%s)", alias, attr->column);
        break;
    default:
        plumb_buf_printf(out, ", %s.%s::text", alias, attr->column);
    }
}

void plumb_lead_select_list(plumb_buf_t *out, const char *alias)
{
    plumb_buf_printf(out, "%s.account_id, %s.id, %s.version, %s.sealed_key, %s.sealed", alias,
                     alias, alias, alias, alias);
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        if (is_column(i))
            put_column(out, alias, &plumb_lead_attrs[i]);
}

static plumb_slice_t slice_of(const PGresult *r, int row, int column)
{
    if (plumb_get_null(r, row, column))
        return (plumb_slice_t){NULL, 0};
    return (plumb_slice_t){plumb_get_text(r, row, column), plumb_get_length(r, row, column)};
}

void plumb_lead_from_row(plumb_lead_t *lead, const PGresult *r, int row, int column,
                         plumb_slice_t *sealed_key, plumb_slice_t *sealed)
{
    lead->account = plumb_get_uuid(r, row, column);
    lead->id = plumb_get_uuid(r, row, column + 1);
    lead->version = plumb_get_int4(r, row, column + 2);
    *sealed_key = slice_of(r, row, column + 3);
    *sealed = slice_of(r, row, column + 4);
    column += PLUMB_LEAD_COLUMNS_FIXED;
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        lead->value[i] = (plumb_slice_t){NULL, 0};
        if (is_column(i))
            lead->value[i] = slice_of(r, row, column++);
    }
}
