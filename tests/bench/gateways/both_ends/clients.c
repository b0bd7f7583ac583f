/* The clients: they ask, read answers and frames, and let the engine go on. */
#define _GNU_SOURCE
#include "both_ends.h"

void ask(struct connection *c, int64_t due) {
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

void ask_when_due(struct connection *c) {
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
        if (clients[c->number] == c) clients[c->number] = NULL;
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

void read_client(struct connection *c) {
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
