/* The lead as channels see it. */
#include "json_pack.h"
#include "lead.h"

#include <string.h>

static bool is_shown(const plumb_lead_t *lead, int attr)
{
    return (plumb_lead_attrs[attr].flags & PLUMB_ATTR_CHANNEL) != 0 &&
           lead->value[attr].data != NULL;
}

/* What packing takes: the document that JSON attributes are parts of, or memory to read them. */
typedef struct source {
    const plumb_json_t *document;
    plumb_json_t json;
} source_t;

static int pack_json(msgpack_packer *packer, source_t *source, const plumb_slice_t *value,
                     plumb_err_t *err)
{
    if (source->document != NULL) {
        plumb_json_pack(packer, source->document, plumb_json_at(source->document, value->data));
        return 0;
    }
    int rc = plumb_json_read_stored(&source->json, value->data, value->length, err);
    if (rc == 0)
        plumb_json_pack(packer, &source->json, 0);
    return rc;
}

static int pack_value(msgpack_packer *packer, source_t *source, const plumb_attr_t *attr,
                      const plumb_slice_t *value, plumb_err_t *err)
{
    int rc = 0;
    switch (attr->type) {
    case PLUMB_ATTR_BOOL:
        if (*value->data == 't')
            msgpack_pack_true(packer);
        else
            msgpack_pack_false(packer);
        break;
    case PLUMB_ATTR_JSON:
        rc = pack_json(packer, source, value, err);
        break;
    default:
        plumb_pack_text(packer, value->data, value->length);
    }
    return rc;
}

static void pack_id(msgpack_packer *packer, const plumb_uuid_t *id)
{
    char text[PLUMB_UUID_TEXT];
    plumb_pack_text(packer, "id", 2);
    plumb_pack_text(packer, plumb_uuid_text(id, text), PLUMB_UUID_TEXT - 1);
}

int plumb_lead_body_pack(plumb_buf_t *out, const plumb_lead_t *lead, const plumb_json_t *document,
                         plumb_err_t *err)
{
    msgpack_packer packer = plumb_packer(out);
    source_t source = {.document = document};
    size_t count = 1;
    int rc = 0;
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++)
        count += is_shown(lead, i);
    msgpack_pack_map(&packer, count);
    pack_id(&packer, &lead->id);
    for (int i = 0; rc == 0 && i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if (!is_shown(lead, i))
            continue;
        plumb_pack_text(&packer, attr->name, strlen(attr->name));
        rc = pack_value(&packer, &source, attr, &lead->value[i], err);
        if (rc < 0)
            plumb_err_add(err, "attribute '%s'", attr->name);
    }
    plumb_json_fini(&source.json);
    if (rc == 0 && out->failed)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "pack a lead's body");
    return rc;
}
