/* Rows of a table. */
#ifndef PLUMB_COUNT_H
#define PLUMB_COUNT_H

#define PLUMB_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
