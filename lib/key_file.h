/* Master keys as files; only the keyring looks at them. */
#ifndef PLUMB_KEY_FILE_H
#define PLUMB_KEY_FILE_H

#include "seal.h"

#define PLUMB_KEYS_MAX 64

/* The ids of all key files in `dir`, ascending. */
int plumb_key_files(const char *dir, uint32_t ids[PLUMB_KEYS_MAX], unsigned *count,
                    plumb_err_t *err);

/* Read one.  KEY: others may read or change it, or it holds something else. */
int plumb_key_file_read(plumb_key_t *key, const char *dir, uint32_t id, plumb_err_t *err);

#endif
