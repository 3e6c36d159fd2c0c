/* The counters of leads against the leads themselves. */
#ifndef PLUMB_TESTS_COUNTS_H
#define PLUMB_TESTS_COUNTS_H

/* How many counters differ from a count of the rows of leads, all in one snapshot: right at any
 * moment, also while leads are written and counters are folded. */
long counts_off(const char *conninfo);

#endif
