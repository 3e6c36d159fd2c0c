/* Error documents. */
#include "document.h"

void problems_clear(problems_t *problems)
{
    plumb_buf_clear(&problems->json);
    problems->count = 0;
    problems->first = PLUMB_OK;
}

void problems_fini(problems_t *problems)
{
    plumb_buf_fini(&problems->json);
}

static const char *const members[] = {
    [SOURCE_POINTER] = "pointer", [SOURCE_PARAMETER] = "parameter", [SOURCE_HEADER] = "header"};

void problems_add(problems_t *problems, plumb_code_t code, document_source_t kind,
                  const char *source, const char *detail)
{
    problems_add_more(problems, code, kind, source, detail, "");
}

void problems_add_more(problems_t *problems, plumb_code_t code, document_source_t kind,
                       const char *source, const char *detail, const char *more)
{
    plumb_buf_t *out = &problems->json;
    if (problems->count == PROBLEMS_MAX)
        return;
    if (problems->count++ == 0)
        problems->first = code;
    else
        plumb_buf_put(out, ",", 1);
    plumb_buf_printf(out, "{\"status\":\"%d\",\"code\":\"%s\",\"title\":\"%s\",\"detail\":",
                     plumb_code_http(code), plumb_code_slug(code), plumb_code_title(code));
    plumb_buf_json_text(out, detail);
    if (kind != SOURCE_NONE) {
        plumb_buf_printf(out, ",\"source\":{\"%s\":", members[kind]);
        plumb_buf_json_text(out, source);
        plumb_buf_put(out, "}", 1);
    }
    plumb_buf_text(out, more);
    plumb_buf_put(out, "}", 1);
}

void problems_document(const problems_t *problems, plumb_buf_t *out)
{
    plumb_buf_text(out, "{\"jsonapi\":{\"version\":\"1.1\"},\"errors\":[");
    plumb_buf_put(out, problems->json.data, problems->json.length);
    plumb_buf_text(out, "]}");
}
