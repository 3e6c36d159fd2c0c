/* JSON without its spelling. */
#ifndef INGEST_CANONICAL_H
#define INGEST_CANONICAL_H

#include "buf.h"
#include "json.h"

#define CANONICAL_DIGEST 16

/* Digest of what `node` means: order of members, blanks and escapes do not count. It tells a repeat
 * from another request of the same sender; it withstands nobody who looks for collisions. */
void canonical_digest(uint8_t out[CANONICAL_DIGEST], const plumb_json_t *json, uint32_t node,
                      plumb_buf_t *scratch);

#endif
