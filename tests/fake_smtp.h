/* A mail server for tests on 127.0.0.1: takes one message after the other, or fails where it is
 * told. */
#ifndef PLUMB_TESTS_FAKE_SMTP_H
#define PLUMB_TESTS_FAKE_SMTP_H

#include <stddef.h>

typedef struct fake_smtp fake_smtp_t;

/* `command`: "" (connection), "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "." (the final dot), "QUIT";
 * `answer`: what is said to it instead of yes; "" closes, "hang" says nothing. NULL: all is well.
 */
fake_smtp_t *fake_smtp_start(const char *command, const char *answer);
void fake_smtp_stop(fake_smtp_t **stopped);
int fake_smtp_port(const fake_smtp_t *smtp);

/* Messages that came with their final dot, and the newest one as it came, dots and all. */
int fake_smtp_messages(fake_smtp_t *smtp);
void fake_smtp_text(fake_smtp_t *smtp, char *out, size_t size);

#endif
