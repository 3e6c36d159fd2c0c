/* Verdicts over ended transfers, and the owner's sentence for each of the library's codes. */
#include "outcome.h"

#include "count.h"

#include <string.h>

#define RETRY_AFTER_MAX_MS (INT64_C(24) * 3600 * 1000)

static const struct {
    CURLcode code;
    const char *before; /* nothing had left */
    const char *after;  /* bytes had left */
} sentences[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "the host's name does not resolve", NULL},
    {CURLE_COULDNT_CONNECT, "the host refuses connections or cannot be reached", NULL},
    {CURLE_OPERATION_TIMEDOUT, "no connection within the time-out",
     "no complete answer within the time-out"},
    {CURLE_SSL_CONNECT_ERROR, "the TLS handshake failed", NULL},
    {CURLE_PEER_FAILED_VERIFICATION, "the host's certificate is not trusted", NULL},
    {CURLE_USE_SSL_FAILED, "the server offers no TLS", NULL},
    {CURLE_LOGIN_DENIED, "the server refuses the login", NULL},
    {CURLE_WEIRD_SERVER_REPLY, "the server speaks another protocol",
     "the answer is not of this protocol"},
    {CURLE_UNSUPPORTED_PROTOCOL, "the server speaks another protocol",
     "the answer is not of this protocol"},
    {CURLE_HTTP2, NULL, "the answer is not of this protocol"},
    {CURLE_GOT_NOTHING, NULL, "the connection was closed without an answer"},
    {CURLE_PARTIAL_FILE, NULL, "the answer broke off"},
    {CURLE_RECV_ERROR, "the connection was cut",
     "the connection was cut before the answer was "
     "complete"},
    {CURLE_SEND_ERROR, "the connection was cut", "the connection was cut while sending"},
    {CURLE_WRITE_ERROR, NULL, "the answer's head is too large"},
    {CURLE_URL_MALFORMAT, "the address is malformed", NULL},
    {CURLE_ABORTED_BY_CALLBACK, NULL, "no complete answer within the time-out"},
    {CURLE_OUT_OF_MEMORY, "out of memory", "out of memory"},
};

static const char *sentence(CURLcode code, bool bytes_left)
{
    for (size_t i = 0; i < PLUMB_COUNT(sentences); i++) {
        const char *found = bytes_left ? sentences[i].after : sentences[i].before;
        if (sentences[i].code == code && found != NULL)
            return found;
    }
    return bytes_left ? "the exchange broke off" : "the request could not be sent";
}

/* SMTP's refusal is a complete answer, which the library reports as an error of its own. */
static bool is_mail_refusal(const sent_t *sent)
{
    return sent->mail && sent->status >= 400 &&
           (sent->code == CURLE_SEND_ERROR || sent->code == CURLE_LOGIN_DENIED ||
            sent->code == CURLE_WEIRD_SERVER_REPLY || sent->code == CURLE_RECV_ERROR ||
            sent->code == CURLE_REMOTE_ACCESS_DENIED);
}

static bool is_complete(const sent_t *sent)
{
    if (sent->code == CURLE_OK)
        return sent->mail || sent->status > 0;
    return is_mail_refusal(sent) || (sent->capped && sent->head_complete && !sent->mail);
}

verdict_t outcome_judge(const sent_t *sent, const char **detail)
{
    *detail = "";
    if (sent->repeated) {
        *detail = "the connection was closed without an answer";
        return VERDICT_AMBIGUOUS;
    }
    if (is_complete(sent))
        return VERDICT_REPLY;
    if (sent->bytes_left) {
        *detail = sentence(sent->code, true);
        return VERDICT_AMBIGUOUS;
    }
    if (sent->fenced)
        return VERDICT_AGAIN;
    *detail = sent->refused ? "the host's address is not allowed" : sentence(sent->code, false);
    return VERDICT_RETRY;
}

/* Seconds when `value` is digits and blanks only, else -1. */
static int64_t seconds_of(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (digits == 0 || value[digits + strspn(value + digits, " \t")] != '\0')
        return -1;
    int64_t seconds = 0;
    for (size_t i = 0; i < digits && seconds < RETRY_AFTER_MAX_MS; i++)
        seconds = seconds * 10 + (value[i] - '0');
    return seconds;
}

int64_t outcome_retry_after(const char *value, int64_t unix_seconds)
{
    value += strspn(value, " \t");
    int64_t seconds = seconds_of(value);
    if (seconds < 0 && strchr(value, ':') != NULL) { /* a date always names a time of day */
        time_t date = curl_getdate(value, NULL);
        seconds = date == (time_t)-1 ? 0 : (int64_t)date - unix_seconds;
    }
    if (seconds <= 0)
        return 0;
    return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : seconds * 1000;
}
