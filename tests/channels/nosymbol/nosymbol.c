/* nosymbol: a shared object, but no channel. */
#include <plumb/channel.h>

PLUMB_EXPORT const int something_else = 1;
