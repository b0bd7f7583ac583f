/* The engine: it reads requests, and answers at once or event by event. */
#define _GNU_SOURCE
#include "both_ends.h"

void next_event(struct connection *c) {
    if (c->sent == c->total) {
        say(c, last_event, last_event_size);
        unlink_stream(c);
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
    unlink_stream(c);
    if (client) {
        unlink_stream(client);
        c->other = client;
        client->other = c;
    }
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

void read_engine(struct connection *c) {
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

void accept_all(struct connection *listener) {
    int fd;
    while ((fd = accept(listener->fd, NULL, NULL)) >= 0) {
        at_once(fd);
        if (n_engines == MOST_CLIENTS * 4) fail("too many connections to the engine");
        engines[n_engines++] = watch(fd, ENGINE);
    }
}
