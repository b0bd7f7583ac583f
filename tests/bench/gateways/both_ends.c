/* Both ends of a gateway in one thread: the clients that ask it, and the engine that it asks.
 *
 * One process has both ends, so a stream can go on in a closed loop (the next event leaves the engine only when the
 * client has the one before: no gateway wins by gathering events), and so one clock tells when a request was due and
 * when its answer was whole.
 *
 *     both_ends PORT MODEL KEY          the engine listens on 127.0.0.1:PORT
 *
 * Each line of standard input is one run, as words `name=number`; each gets one line of JSON on standard output:
 *
 *     gateway=P      port to ask; PORT itself asks the engine directly
 *     clients=N      connections, each with one request at a time
 *     events=N       of each stream; 0 asks for whole answers
 *     rate=R         requests a second whatever the answers do (open loop); 0 asks as soon as an answer is there
 *     pooled=N       before, N streams at once, so that the gateway is left with N idle connections to the engine
 *     warm_ms=N      not measured, from when every client has been answered something
 *     measured_ms=N
 *     pid=P          of the gateway's processes, repeated: their CPU time (schedstat) and memory are measured
 *
 * A request's body is 2 KB, a whole answer's 548 bytes, an event 185 bytes. A stream says which it is by `seed`, which
 * the gateway has to hand on. Linux only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_BODY = 2048,
    ANSWER_BODY = 548,
    EVENT = 185,
    FIRST_SEED = 100000, /* seeds of one width, so that a request is written in place */
    MOST_CLIENTS = 4096,
    MOST_PIDS = 256,
    BUFFER = 65536,
};
static const int64_t MS = 1000000;
static const int64_t STALLED = 3000 * MS; /* an event that no client gets: the gateway has dropped it */
static const int64_t NOTICED = 300 * MS; /* that a client has left */
static const int64_t PATIENCE = 30000 * MS; /* for all clients to be answered something */

struct connection {
    enum { COMMANDS, LISTENER, ENGINE, CLIENT } kind;
    int fd;
    bool gone;
    struct connection *next_gone;
    char *in, *out;
    size_t in_used, in_room, out_from, out_used, out_room;

    /* of the engine */
    bool streaming;
    int sent, total, dropped;
    int64_t sent_at;

    /* of a client; `other` is the engine's side of its stream, and the client of the engine's stream */
    struct connection *other;
    int number, status, received;
    bool asked, head_read, chunked, pooling, heard;
    int64_t due, left; /* `left`: of the body, or of the frame */
    enum { SIZE, DATA, END_OF_DATA, TRAILER } frame;
    char last;
};

static struct {
    int gateway, clients, events, pooled, pids[MOST_PIDS], n_pids;
    int64_t warm, measured, period;

    enum { WAITING, POOLING, RUNNING, CLOSING } phase;
    int64_t since, measured_since, next_due;
    int opened, answered, engine_connections;
    bool measuring;

    int64_t units, errors, stalls;
    float *microseconds;
    size_t n_times, times_room;
    double cpu, own;
    char report[512];
} run;

static int poller, port;
static const char *model, *key;
static struct connection *clients[MOST_CLIENTS], *engines[MOST_CLIENTS * 4], *gone;
static int n_engines;
static char *request, whole[1024], event[512], last_event[1024];
static size_t request_size, seed_at, whole_size, event_size, last_event_size;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void *have(void *memory, size_t size) {
    if (!(memory = realloc(memory, size))) fail("memory");
    return memory;
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static struct connection *watch(int fd, int kind) {
    struct connection *c = have(NULL, sizeof *c);
    *c = (struct connection){.fd = fd, .kind = kind, .in_room = BUFFER};
    c->in = have(NULL, BUFFER + 1);
    struct epoll_event on = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &on)) fail("epoll_ctl");
    return c;
}

static void at_once(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static struct connection *dial(int number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(run.gateway)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) fail("the gateway takes no connection");
    at_once(fd);
    struct connection *c = watch(fd, CLIENT);
    c->number = number;
    return c;
}

/* Freed at the end of the turn: the poller may have told of it already. */
static void drop(struct connection *c) {
    if (c->gone) return;
    c->gone = true;
    close(c->fd);
    if (c->other) c->other->other = NULL;
    c->other = NULL;
    if (c->kind == ENGINE)
        for (int i = 0; i < n_engines; i++)
            if (engines[i] == c) {
                engines[i] = engines[--n_engines];
                break;
            }
    c->next_gone = gone;
    gone = c;
}

static void free_gone(void) {
    while (gone) {
        struct connection *c = gone;
        gone = c->next_gone;
        free(c->in);
        free(c->out);
        free(c);
    }
}

static void want(struct connection *c, int what) {
    struct epoll_event on = {.events = what, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &on);
}

static void flush(struct connection *c) {
    ssize_t n = send(c->fd, c->out + c->out_from, c->out_used - c->out_from, MSG_NOSIGNAL);
    if (n > 0) c->out_from += n;
    if (c->out_from == c->out_used) {
        c->out_from = c->out_used = 0;
        want(c, EPOLLIN);
    }
}

/* A peer that is gone is noticed when it is read. */
static void say(struct connection *c, const char *bytes, size_t size) {
    if (c->gone) return;
    if (!c->out_used) {
        ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
        if (n == (ssize_t)size) return;
        if (n > 0) bytes += n, size -= n;
        want(c, EPOLLIN | EPOLLOUT);
    }
    if (c->out_used + size > c->out_room) c->out = have(c->out, c->out_room = 2 * (c->out_used + size));
    memcpy(c->out + c->out_used, bytes, size);
    c->out_used += size;
}

/* --- what is said ----------------------------------------------------------------------------------------------- */

/* `form` with its one %s filled so that the whole is `size` bytes. */
static void fill(char *to, size_t size, const char *form) {
    static const char words[] = "A careful engineer counts what a byte costs between two sockets. ";
    size_t room = size - (strlen(form) - 2);
    char text[REQUEST_BODY + 1] = "";
    for (size_t i = 0; i < room; i++) text[i] = words[i % (sizeof words - 1)];
    text[room] = 0;
    sprintf(to, form, text);
}

static size_t framed(char *to, const char *data) { return sprintf(to, "%zx\r\n%s\r\n", strlen(data), data); }

static void write_answers(void) {
    char form[512], body[ANSWER_BODY + 1], data[EVENT + 1];
    snprintf(form, sizeof form,
             "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1790000000,"
             "\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%%s\"},"
             "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":400,\"completion_tokens\":64,"
             "\"total_tokens\":464}}",
             model);
    fill(body, ANSWER_BODY, form);
    whole_size = sprintf(whole, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                         ANSWER_BODY, body);
    const char *chunk = "data: {\"id\":\"chatcmpl-01234567\",\"object\":\"chat.completion.chunk\","
                        "\"created\":1790000000,\"model\":\"%s\",\"choices\":[{\"index\":0,\"delta\":{%s},"
                        "\"finish_reason\":%s}]}\n\n";
    snprintf(form, sizeof form, chunk, model, "\"content\":\"%s\"", "null");
    fill(data, EVENT, form);
    event_size = framed(event, data);
    snprintf(form, sizeof form, chunk, model, "", "\"stop\"");
    strcat(form, "data: [DONE]\n\n");
    last_event_size = framed(last_event, form);
    strcpy(last_event + last_event_size, "0\r\n\r\n");
    last_event_size += 5;
}

static void write_request(void) {
    char form[512], body[REQUEST_BODY + 1], head[512];
    snprintf(form, sizeof form,
             "{\"model\":\"%s\",\"stream\":%s,\"seed\":%d,\"max_tokens\":%d,\"temperature\":0.7,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"%%s\"}]}",
             model, run.events ? "true" : "false", FIRST_SEED, run.events ? run.events : 64);
    fill(body, REQUEST_BODY, form);
    int head_size = snprintf(head, sizeof head,
                             "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nuser-agent: both-ends\r\n"
                             "accept: application/json\r\ncontent-type: application/json\r\n"
                             "authorization: Bearer %s\r\ncontent-length: %d\r\n\r\n",
                             run.gateway, key, REQUEST_BODY);
    request_size = head_size + REQUEST_BODY;
    request = have(request, request_size + 1);
    sprintf(request, "%s%s", head, body);
    seed_at = strstr(request, "\"seed\":") + 7 - request;
}

/* --- the engine ------------------------------------------------------------------------------------------------- */

static void next_event(struct connection *c) {
    if (c->sent == c->total) {
        say(c, last_event, last_event_size);
        c->streaming = false;
        return;
    }
    c->sent++;
    c->sent_at = now();
    say(c, event, event_size);
}

/* A number of the body by its name; some gateways put a space behind the colon. */
static int number_of(const char *body, const char *name, int otherwise) {
    const char *at = strstr(body, name);
    return at ? atoi(at + strlen(name) + strspn(at + strlen(name), ": ")) : otherwise;
}

static bool asks_for_stream(const char *body) {
    const char *at = strstr(body, "\"stream\"");
    return at && at[8 + strspn(at + 8, ": ")] == 't';
}

static void answer_request(struct connection *c, char *body) {
    if (!asks_for_stream(body)) {
        say(c, whole, whole_size);
        return;
    }
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                               "transfer-encoding: chunked\r\n\r\n";
    int number = number_of(body, "\"seed\"", -1) - FIRST_SEED;
    struct connection *client = number >= 0 && number < MOST_CLIENTS ? clients[number] : NULL;
    c->total = number_of(body, "\"max_tokens\"", run.events);
    c->sent = c->dropped = 0;
    c->streaming = true;
    if (client && (c->other = client)) client->other = c;
    say(c, head, sizeof head - 1);
    if (run.phase != POOLING) next_event(c); /* else when all of them are here */
}

/* Health checks and lists of models. */
static void answer_page(struct connection *c, const char *head) {
    char body[256] = "{}", answer[512];
    if (strstr(head, "/models"))
        snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\"}]}", model);
    say(c, answer, sprintf(answer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                           strlen(body), body));
}

/* Size of the first request in the buffer, or 0 while it is not whole. */
static size_t whole_request(struct connection *c, char **body) {
    char *end = memmem(c->in, c->in_used, "\r\n\r\n", 4);
    if (!end) return 0;
    *body = end + 4;
    *end = 0;
    char *length = strcasestr(c->in, "\ncontent-length:"), *chunked = strcasestr(c->in, "\ntransfer-encoding:");
    *end = '\r';
    size_t size = *body - c->in;
    if (length) size += atoi(length + 16);
    else if (chunked) {
        char *last = memmem(*body, c->in_used - size, "0\r\n\r\n", 5);
        size = last ? (size_t)(last + 5 - c->in) : SIZE_MAX;
    }
    return size <= c->in_used ? size : 0;
}

static void read_engine(struct connection *c) {
    if (c->in_room - c->in_used < BUFFER / 2) c->in = have(c->in, (c->in_room *= 2) + 1);
    ssize_t n = recv(c->fd, c->in + c->in_used, c->in_room - c->in_used, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(c);
        return;
    }
    c->in[c->in_used += n] = 0;
    char *body;
    size_t size;
    while ((size = whole_request(c, &body))) {
        char after = c->in[size];
        c->in[size] = 0;
        if (strncmp(c->in, "POST", 4)) answer_page(c, c->in);
        else answer_request(c, body);
        c->in[size] = after;
        memmove(c->in, c->in + size, c->in_used -= size);
        c->in[c->in_used] = 0;
    }
}

static void accept_all(struct connection *listener) {
    int fd;
    while ((fd = accept(listener->fd, NULL, NULL)) >= 0) {
        at_once(fd);
        if (n_engines == MOST_CLIENTS * 4) fail("too many connections to the engine");
        engines[n_engines++] = watch(fd, ENGINE);
    }
}

/* --- the clients ------------------------------------------------------------------------------------------------ */

static void ask(struct connection *c, int64_t due) {
    char seed[16];
    snprintf(seed, sizeof seed, "%d", FIRST_SEED + c->number);
    memcpy(request + seed_at, seed, 6);
    c->asked = true;
    c->head_read = c->chunked = false;
    c->received = 0;
    c->in_used = 0;
    c->frame = SIZE;
    c->left = c->last = 0;
    c->due = due;
    say(c, request, request_size);
}

static void ask_when_due(struct connection *c) {
    if (!run.period) ask(c, now());
    else if (run.next_due <= now()) {
        ask(c, run.next_due);
        run.next_due += run.period;
    }
}

static void keep_time(int64_t nanoseconds) {
    if (run.n_times == run.times_room) {
        run.times_room = 2 * run.times_room + 4096;
        run.microseconds = have(run.microseconds, run.times_room * sizeof *run.microseconds);
    }
    run.microseconds[run.n_times++] = nanoseconds / 1000.0f;
}

/* Of so many clients is something there. */
static void hear(struct connection *c) {
    if (!c->heard) run.answered++;
    c->heard = true;
}

static void answered(struct connection *c, bool whole_and_good) {
    c->asked = false;
    if (c->pooling) {
        clients[c->number] = NULL;
        hear(c);
        drop(c);
        return;
    }
    if (run.measuring) {
        if (!whole_and_good) run.errors++;
        else if (!run.events) run.units++, keep_time(now() - c->due);
    }
    hear(c);
    if (!whole_and_good) {
        int number = c->number;
        drop(c);
        c = clients[number] = dial(number);
    }
    ask_when_due(c);
}

static void count_events(struct connection *c, const char *data, size_t size) {
    if (!run.events) return;
    int before = c->received;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' && c->last == '\n') c->received++, c->last = 0;
        else c->last = data[i];
    }
    if (c->received == before) return;
    hear(c);
    if (run.measuring) run.units += c->received - before;
    struct connection *engine = c->other;
    if (engine && engine->streaming && c->received >= engine->sent - engine->dropped) next_event(engine);
}

/* How much of `data` the head took; 0 while it is not whole. */
static size_t read_head(struct connection *c, const char *data, size_t size) {
    size_t before = c->in_used;
    if (before + size > BUFFER) size = BUFFER - before;
    memcpy(c->in + before, data, size);
    c->in[c->in_used += size] = 0;
    char *end = memmem(c->in, c->in_used, "\r\n\r\n", 4);
    if (!end) return 0;
    *end = 0;
    c->status = atoi(c->in + 9);
    c->chunked = strcasestr(c->in, "\ntransfer-encoding: chunked");
    char *length = strcasestr(c->in, "\ncontent-length:");
    c->left = c->chunked ? 0 : length ? atoll(length + 16) : INT64_MAX;
    c->head_read = true;
    return end + 4 - c->in - before;
}

static int hex(char digit) {
    const char *digits = "0123456789abcdef", *at = strchr(digits, digit | 32);
    return digit && at ? (int)(at - digits) : -1;
}

/* Walks the frames; true where the last has come. */
static bool read_frames(struct connection *c, const char *data, size_t size) {
    for (size_t i = 0; i < size;) {
        if (c->frame == DATA) {
            size_t n = size - i < (size_t)c->left ? size - i : (size_t)c->left;
            count_events(c, data + i, n);
            i += n;
            if (!(c->left -= n)) c->frame = END_OF_DATA;
            continue;
        }
        char one = data[i++];
        if (one == '\n') {
            if (c->frame == TRAILER) return true;
            c->frame = c->frame == END_OF_DATA ? SIZE : c->left ? DATA : TRAILER;
        } else if (c->frame == SIZE && hex(one) >= 0) c->left = 16 * c->left + hex(one);
    }
    return false;
}

static void read_client(struct connection *c) {
    static char data[4 * BUFFER];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        answered(c, false);
        return;
    }
    size_t from = 0;
    if (!c->head_read && !(from = read_head(c, data, n))) return;
    bool end;
    if (c->chunked) end = read_frames(c, data + from, n - from);
    else {
        count_events(c, data + from, n - from);
        end = (c->left -= n - from) <= 0;
    }
    if (end) answered(c, c->status == 200);
}

/* --- a run ------------------------------------------------------------------------------------------------------ */

/* Nanoseconds that the gateway's threads have run. */
static double cpu_of_gateway(void) {
    double sum = 0;
    for (int i = 0; i < run.n_pids; i++) {
        char path[300];
        snprintf(path, sizeof path, "/proc/%d/task", run.pids[i]);
        DIR *tasks = opendir(path);
        for (struct dirent *task; tasks && (task = readdir(tasks));) {
            snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", run.pids[i], task->d_name);
            FILE *file = fopen(path, "r");
            double ran;
            if (file && fscanf(file, "%lf", &ran) == 1) sum += ran;
            if (file) fclose(file);
        }
        if (tasks) closedir(tasks);
    }
    return sum;
}

static double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
}

/* KiB, shared pages counted once for each process. */
static long memory_of_gateway(void) {
    long sum = 0;
    for (int i = 0; i < run.n_pids; i++) {
        char path[64], line[200];
        snprintf(path, sizeof path, "/proc/%d/status", run.pids[i]);
        FILE *file = fopen(path, "r");
        long kib;
        while (file && fgets(line, sizeof line, file))
            if (sscanf(line, "VmRSS: %ld", &kib) == 1) sum += kib;
        if (file) fclose(file);
    }
    return sum;
}

static int by_size(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

/* Nearest rank, microseconds; -1 where nothing was timed. */
static double percentile(double share) {
    return run.n_times ? run.microseconds[(size_t)(share * (run.n_times - 1) + 0.5)] : -1;
}

static void begin(char *words) {
    memset(&run, 0, offsetof(typeof(run), microseconds));
    run.n_times = 0;
    for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n")) {
        double value = atof(strchr(word, '=') ? strchr(word, '=') + 1 : "");
        switch (*word) {
        case 'g': run.gateway = value; break;
        case 'c': run.clients = value; break;
        case 'e': run.events = value; break;
        case 'r': run.period = value ? 1e9 / value : 0; break;
        case 'p':
            if (word[1] == 'o') run.pooled = value;
            else if (run.n_pids < MOST_PIDS) run.pids[run.n_pids++] = value;
            break;
        case 'w': run.warm = value * MS; break;
        case 'm': run.measured = value * MS; break;
        }
    }
    if (run.clients > MOST_CLIENTS || run.pooled > MOST_CLIENTS) fail("too many clients");
    run.since = now();
    run.phase = run.pooled ? POOLING : RUNNING;
    int events = run.events;
    if (run.pooled) run.events = 1;
    write_request();
    run.events = events;
}

/* Opens N streams, lets them go on when all are at the engine, and is through when all have ended. */
static void pool(void) {
    for (int burst = 0; run.opened < run.pooled && burst < 16; burst++) {
        struct connection *c = clients[run.opened] = dial(run.opened);
        run.opened++;
        c->pooling = true;
        ask(c, 0);
    }
    int streaming = 0;
    for (int i = 0; i < n_engines; i++) streaming += engines[i]->streaming;
    bool late = now() - run.since > PATIENCE / 2;
    if (run.opened == run.pooled && (streaming + run.answered >= run.pooled || late))
        for (int i = n_engines; i-- > 0;)
            if (engines[i]->streaming) {
                next_event(engines[i]);
                if (engines[i]->streaming) next_event(engines[i]);
            }
    if (run.answered < run.pooled && !late) return;
    run.phase = RUNNING;
    run.opened = run.answered = 0;
    run.since = now();
    write_request();
}

static void open_clients(void) {
    for (int burst = 0; run.opened < run.clients && burst < 16; burst++) {
        struct connection *c = clients[run.opened] = dial(run.opened);
        if (!run.opened++) run.next_due = now();
        ask_when_due(c);
    }
}

static void ask_what_is_due(void) {
    for (int i = 0; run.period && run.next_due <= now() && i < run.opened; i++)
        if (!clients[i]->asked) ask_when_due(clients[i]);
}

static void start_measuring(void) {
    int64_t t = now();
    int wanted = run.period ? 1 : run.clients; /* in an open loop some may have nothing to do */
    if (run.opened < run.clients || (run.answered < wanted && t - run.since < PATIENCE)) return;
    if (!run.measured_since) run.measured_since = t + run.warm;
    if (t < run.measured_since) return;
    run.measuring = true;
    run.engine_connections = n_engines;
    run.cpu = cpu_of_gateway();
    run.own = own_cpu();
    run.measured_since = now();
}

static void finish(void) {
    double seconds = (now() - run.measured_since) / 1e9;
    run.measuring = false;
    double cpu = cpu_of_gateway() - run.cpu, own = own_cpu() - run.own;
    qsort(run.microseconds, run.n_times, sizeof *run.microseconds, by_size);
    snprintf(run.report, sizeof run.report,
             "{\"seconds\": %.4f, \"units\": %ld, \"errors\": %ld, \"stalls\": %ld, \"cpu_us\": %.1f, \"rss_kib\": %ld,"
             " \"p50_us\": %.1f, \"p99_us\": %.1f, \"own_share\": %.3f, \"engine_connections\": %d}\n",
             seconds, (long)run.units, (long)run.errors, (long)run.stalls, cpu / 1e3, memory_of_gateway(),
             percentile(.5), percentile(.99), own / 1e9 / seconds, run.engine_connections);
    for (int i = 0; i < run.opened; i++) {
        drop(clients[i]);
        clients[i] = NULL;
    }
    run.phase = CLOSING;
    run.since = now();
}

/* The gateway has first to leave the streams that its clients have left: to it, an engine that hangs up is broken.
 * One that notices a client's end only when it has something to send gets the ends of its streams. */
static void close_engines(void) {
    bool late = now() - run.since > NOTICED;
    int streaming = 0;
    for (int i = n_engines; i-- > 0;) {
        if (!engines[i]->streaming) continue;
        if (late) engines[i]->sent = engines[i]->total, next_event(engines[i]);
        streaming++;
    }
    if (streaming) return;
    while (n_engines) drop(engines[0]);
    run.phase = WAITING;
    fputs(run.report, stdout);
    fflush(stdout);
}

static void push_on_stalled(void) {
    static int64_t looked;
    if (now() - looked < 100 * MS) return;
    looked = now();
    for (int i = 0; i < n_engines; i++)
        if (engines[i]->streaming && looked - engines[i]->sent_at > STALLED) {
            run.stalls += run.measuring;
            engines[i]->dropped++;
            next_event(engines[i]);
        }
}

static void step(void) {
    if (run.phase == POOLING) pool();
    else if (run.phase == CLOSING) close_engines();
    else if (run.phase == RUNNING) {
        open_clients();
        ask_what_is_due();
        push_on_stalled();
        if (!run.measuring) start_measuring();
        else if (now() - run.measured_since > run.measured) finish();
    }
}

static void read_commands(struct connection *c) {
    ssize_t n = read(c->fd, c->in + c->in_used, c->in_room - c->in_used);
    if (n <= 0) exit(0);
    c->in[c->in_used += n] = 0;
    if (!strchr(c->in, '\n')) return;
    c->in_used = 0;
    begin(c->in);
}

static void handle(struct connection *c, uint32_t what) {
    if (c->gone) return;
    if (what & EPOLLOUT) flush(c);
    if (!(what & ~EPOLLOUT)) return;
    switch (c->kind) {
    case COMMANDS: read_commands(c); break;
    case LISTENER: accept_all(c); break;
    case ENGINE: read_engine(c); break;
    case CLIENT: read_client(c); break;
    }
}

static void listen_on(int where) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(where)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, MOST_CLIENTS)) fail("the engine's port");
    at_once(fd);
    watch(fd, LISTENER);
}

/* How long the poller may sleep: until a request is due where they are, else until something is to be looked at. */
static struct timespec longest_sleep(void) {
    bool busy = run.phase == POOLING || (run.phase == RUNNING && (run.period || run.opened < run.clients));
    return (struct timespec){.tv_nsec = busy ? 20000 : 20 * MS};
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: both_ends PORT MODEL KEY\n");
        return 2;
    }
    port = atoi(words[1]), model = words[2], key = words[3];
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    if ((poller = epoll_create1(0)) < 0) fail("epoll");
    write_answers();
    listen_on(port);
    watch(0, COMMANDS);
    struct epoll_event found[1024];
    for (;;) {
        step();
        struct timespec sleep = longest_sleep();
        int n = epoll_pwait2(poller, found, 1024, &sleep, NULL);
        for (int i = 0; i < n; i++) handle(found[i].data.ptr, found[i].events);
        free_gone();
    }
}
