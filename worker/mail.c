/* Mail threads. */
#include "mail.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define RESPONSE_S 300 /* one limit for all commands; servers take long after the final dot */
#define TOTAL_MS 600000
#define PARTING_MS 5000 /* for the answer to QUIT, which changes nothing any more */
#define MARGIN_MS 500   /* the library's own time-outs come first */
#define CLOSING_MS 3000
#define STACK_SIZE ((size_t)512 * 1024)

typedef enum leave { LEAVE_UNKNOWN, LEAVE_ASKED, LEAVE_GIVEN, LEAVE_REFUSED } leave_t;

struct mail {
    struct mail *next; /* in the post's list of news */
    post_t *post;
    const guard_t *guard;
    transfer_t *transfer; /* the loop's; NULL: abandoned */
    ask_t ask;            /* a copy */
    CURL *easy;
    int64_t limit_ms, connect_ms;
    bool development;
    const char *ca_file;
    struct curl_slist *connect_to;
    /* written by the thread, read by the loop when it is over */
    sent_t sent;
    int64_t began_ms, text_ms; /* text_ms: when all of it had left; 0: not yet */
    int64_t answered_ms;       /* when the final dot was answered; 0: not yet */
    int answer;                /* … and with which number */
    /* under the post's lock */
    leave_t leave;
    bool listed, over, cancelled;
};

struct post {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int event; /* eventfd, readable when there is news */
    mail_t *news;
    unsigned running;
};

/* ---- between thread and loop ---- */

/* Lock held. */
static void announce(mail_t *m)
{
    uint64_t one = 1;
    if (!m->listed) {
        m->listed = true;
        m->next = m->post->news;
        m->post->news = m;
    }
    ssize_t written = write(m->post->event, &one, sizeof one);
    (void)written; /* full: it is readable anyway */
}

/* Ask the loop whether the text may leave, once. */
static bool may_leave(mail_t *m)
{
    post_t *post = m->post;
    pthread_mutex_lock(&post->lock);
    if (m->leave == LEAVE_UNKNOWN) {
        m->leave = LEAVE_ASKED;
        announce(m);
    }
    while (m->leave == LEAVE_ASKED && !m->cancelled)
        pthread_cond_wait(&post->answered, &post->lock);
    bool given = m->leave == LEAVE_GIVEN;
    pthread_mutex_unlock(&post->lock);
    return given;
}

static bool is_cancelled(mail_t *m)
{
    pthread_mutex_lock(&m->post->lock);
    bool cancelled = m->cancelled;
    pthread_mutex_unlock(&m->post->lock);
    return cancelled;
}

/* ---- what the library asks, in the thread ---- */

static curl_socket_t on_open(void *self, curlsocktype purpose, struct curl_sockaddr *address)
{
    mail_t *m = self;
    (void)purpose;
    m->sent.refused = !guard_admits(m->guard, &address->addr);
    return m->sent.refused
               ? CURL_SOCKET_BAD
               : socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The library would begin again by itself: the second time is where that ends. */
static int on_ready(void *self, char *ip, char *local_ip, int port, int local_port)
{
    mail_t *m = self;
    (void)local_ip;
    (void)local_port;
    m->sent.repeated = m->sent.bytes_left;
    m->sent.refused = !guard_admits_text(m->guard, ip, port);
    return m->sent.repeated || m->sent.refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_text(char *out, size_t unit, size_t size, void *self)
{
    mail_t *m = self;
    size_t left = m->ask.body.length - m->ask.sent;
    size = size * unit < left ? size * unit : left;
    if (!m->sent.bytes_left) {
        if (!may_leave(m)) {
            m->sent.fenced = true;
            return CURL_READFUNC_ABORT;
        }
        m->sent.bytes_left = true;
    }
    if (size > 0)
        memcpy(out, m->ask.body.data + m->ask.sent, size);
    m->ask.sent += size;
    if (m->ask.sent == m->ask.body.length)
        m->text_ms = plumb_mono_ms();
    return size;
}

/* Each line of an answer.  Its last line has a blank behind the number. */
static size_t on_line(char *line, size_t unit, size_t size, void *self)
{
    mail_t *m = self;
    size *= unit;
    if (m->text_ms != 0 && m->answered_ms == 0 && size > 3 && line[3] != '-') {
        m->answered_ms = plumb_mono_ms();
        m->answer = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    }
    return size;
}

/* Whatever came of the mail, the library then says QUIT and waits for its answer as well. */
static bool is_too_long(const mail_t *m)
{
    int64_t now_ms = plumb_mono_ms();
    if (m->answered_ms != 0)
        return now_ms - m->answered_ms > PARTING_MS;
    return now_ms - m->began_ms > m->limit_ms + MARGIN_MS ||
           (m->text_ms != 0 && now_ms - m->text_ms > RESPONSE_S * 1000 + MARGIN_MS);
}

static int on_progress(void *self, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    mail_t *m = self;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return is_too_long(m) || is_cancelled(m);
}

static size_t on_body(char *data, size_t unit, size_t size, void *self)
{
    (void)data;
    (void)self;
    return unit * size;
}

/* ---- the thread ---- */

#define SET(option, value) code |= curl_easy_setopt(easy, option, value)

static int set_options(mail_t *m)
{
    CURL *easy = m->easy;
    const ask_t *ask = &m->ask;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_URL, ask->url.data);
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FORBID_REUSE, 1L); /* or a later close would wait for QUIT's answer, on the loop */
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)m->connect_ms);
    SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)RESPONSE_S);
    SET(CURLOPT_TIMEOUT_MS, (long)m->limit_ms);
    SET(CURLOPT_USE_SSL, m->development ? (long)CURLUSESSL_TRY : (long)CURLUSESSL_ALL);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NET_CA_PATH);
    SET(CURLOPT_CAINFO, m->ca_file);
    SET(CURLOPT_CONNECT_TO, m->connect_to);
    SET(CURLOPT_MAIL_FROM, ask->from);
    SET(CURLOPT_MAIL_RCPT, ask->recipients);
    SET(CURLOPT_USERNAME, ask->user);
    SET(CURLOPT_PASSWORD, ask->password);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)ask->body.length);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, m);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, m);
    SET(CURLOPT_READFUNCTION, on_text);
    SET(CURLOPT_READDATA, m);
    SET(CURLOPT_HEADERFUNCTION, on_line);
    SET(CURLOPT_HEADERDATA, m);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, m);
    return code == CURLE_OK ? 0 : -1;
}

#undef SET

static void destroy(mail_t *m)
{
    curl_easy_cleanup(m->easy);
    ask_fini(&m->ask);
    free(m);
}

static void *run(void *self)
{
    mail_t *m = self;
    post_t *post = m->post;
    long status = 0;
    m->began_ms = plumb_mono_ms();
    m->sent.code = curl_easy_perform(m->easy);
    curl_easy_getinfo(m->easy, CURLINFO_RESPONSE_CODE, &status);
    m->sent.status = m->answered_ms != 0 ? m->answer : (int)status; /* not that of QUIT */
    pthread_mutex_lock(&post->lock);
    m->over = true;
    post->running--;
    announce(m);
    pthread_mutex_unlock(&post->lock); /* from here on it is the loop's */
    return NULL;
}

/* ---- the loop's side ---- */

int mails_open(net_t *net, plumb_err_t *err)
{
    post_t *post = net->post = calloc(1, sizeof *post);
    if (post == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "mail");
    pthread_mutex_init(&post->lock, NULL);
    pthread_cond_init(&post->answered, NULL);
    post->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN,
                                .data.u64 = (uint64_t)net->mark << 32 | (uint32_t)post->event};
    if (post->event < 0 || epoll_ctl(net->epoll, EPOLL_CTL_ADD, post->event, &event) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "mail: %s", strerror(errno));
    net->post_event = post->event;
    return 0;
}

static mail_t *take_news(post_t *post)
{
    uint64_t count;
    ssize_t got = read(post->event, &count, sizeof count);
    (void)got; /* none: somebody was faster */
    pthread_mutex_lock(&post->lock);
    mail_t *news = post->news;
    post->news = NULL;
    for (mail_t *m = news; m != NULL; m = m->next)
        m->listed = false;
    pthread_mutex_unlock(&post->lock);
    return news;
}

static void answer(mail_t *m, bool given)
{
    pthread_mutex_lock(&m->post->lock);
    m->leave = given ? LEAVE_GIVEN : LEAVE_REFUSED;
    pthread_cond_broadcast(&m->post->answered);
    pthread_mutex_unlock(&m->post->lock);
}

static void finish(mail_t *m)
{
    transfer_t *t = m->transfer;
    if (t == NULL) {
        destroy(m);
        return;
    }
    /* A QUIT that was cut short changes nothing of what was answered before. */
    if (m->answered_ms != 0 && m->sent.code == CURLE_ABORTED_BY_CALLBACK)
        m->sent.code = m->sent.status < 400 ? CURLE_OK : CURLE_SEND_ERROR;
    t->sent = m->sent;
    t->sent.mail = true;
    t->easy = m->easy;
    t->mail = NULL;
    m->easy = NULL;
    destroy(m);
    transfer_over(t);
}

void mails_on_event(net_t *net)
{
    for (mail_t *m = take_news(net->post), *next; m != NULL; m = next) {
        pthread_mutex_lock(&net->post->lock);
        bool over = m->over, asked = m->leave == LEAVE_ASKED;
        pthread_mutex_unlock(&net->post->lock);
        next = m->next;
        if (over)
            finish(m);
        else if (asked)
            answer(m, m->transfer != NULL && net->hooks.may_send(m->transfer->owner));
    }
}

/* Copies, since the call may be gone before the thread is. */
static int copy_ask(ask_t *to, const ask_t *from)
{
    ask_mail(to, from->url.data, from->from, from->user, from->password);
    for (const struct curl_slist *at = from->recipients; at != NULL; at = at->next)
        ask_mail_to(to, at->data);
    const plumb_part_t text = {from->body.data != NULL ? from->body.data : "", from->body.length};
    ask_body(to, NULL, &text, 1);
    return to->broken == NULL && !to->url.failed ? 0 : -1;
}

static int start_thread(mail_t *m)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_mutex_lock(&m->post->lock);
    m->post->running++;
    int code = pthread_create(&thread, &attributes, run, m);
    if (code != 0)
        m->post->running--;
    pthread_mutex_unlock(&m->post->lock);
    pthread_attr_destroy(&attributes);
    return code == 0 ? 0 : -1;
}

int mail_start(transfer_t *t, const ask_t *ask)
{
    const net_t *net = t->lane->net;
    mail_t *m = calloc(1, sizeof *m);
    if (m == NULL)
        return -1;
    *m = (mail_t){.post = net->post,
                  .guard = &net->guard,
                  .transfer = t,
                  .easy = curl_easy_init(),
                  .connect_ms = net->connect_timeout_ms,
                  .limit_ms = TOTAL_MS,
                  .development = net->guard.development,
                  .ca_file = net->ca_file,
                  .connect_to = net->connect_to};
    if (ask->timeout_ms > 0 && ask->timeout_ms < m->limit_ms)
        m->limit_ms = ask->timeout_ms;
    if (m->easy == NULL || copy_ask(&m->ask, ask) != 0 || set_options(m) != 0 ||
        start_thread(m) != 0) {
        destroy(m);
        return -1;
    }
    t->mail = m;
    return 0;
}

void mail_abandon(transfer_t *t)
{
    mail_t *m = t->mail;
    t->mail = NULL;
    m->transfer = NULL;
    pthread_mutex_lock(&m->post->lock);
    m->cancelled = true;
    pthread_cond_broadcast(&m->post->answered);
    pthread_mutex_unlock(&m->post->lock);
}

void mails_close(net_t *net)
{
    post_t *post = net->post;
    if (post == NULL)
        return;
    unsigned running = 1;
    for (int64_t end = plumb_mono_ms() + CLOSING_MS; running > 0 && plumb_mono_ms() < end;) {
        pthread_mutex_lock(&post->lock);
        running = post->running;
        pthread_mutex_unlock(&post->lock);
        mails_on_event(net);
        struct pollfd news = {.fd = post->event, .events = POLLIN};
        if (running > 0)
            poll(&news, 1, 100);
    }
    if (running > 0)
        return; /* a thread still uses it, the process is about to end */
    mails_on_event(net);
    close(post->event);
    pthread_cond_destroy(&post->answered);
    pthread_mutex_destroy(&post->lock);
    free(post);
    net->post = NULL;
}
