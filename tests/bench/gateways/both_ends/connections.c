/* Connections of either end, and what is written to them. */
#define _GNU_SOURCE
#include "both_ends.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <time.h>

static struct connection *gone;

int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

void fail(const char *what) {
    perror(what);
    exit(1);
}

void *have(void *memory, size_t size) {
    if (!(memory = realloc(memory, size))) fail("memory");
    return memory;
}

struct connection *watch(int fd, int kind) {
    struct connection *c = have(NULL, sizeof *c);
    *c = (struct connection){.fd = fd, .kind = kind, .in_room = BUFFER};
    c->in = have(NULL, BUFFER + 1);
    struct epoll_event on = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &on)) fail("epoll_ctl");
    return c;
}

void at_once(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct connection *dial(int number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(run.gateway)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) exit(NO_CONNECTION);
    at_once(fd);
    struct connection *c = watch(fd, CLIENT);
    c->number = number;
    return c;
}

/* The two sides of a stream know each other until it ends: a gateway takes another connection for the next one. */
void unlink_stream(struct connection *c) {
    if (c->other) c->other->other = NULL;
    c->other = NULL;
}

/* Freed at the end of the turn: the poller may have told of it already. */
void drop(struct connection *c) {
    if (c->gone) return;
    c->gone = true;
    close(c->fd);
    unlink_stream(c);
    if (c->kind == ENGINE)
        for (int i = 0; i < n_engines; i++)
            if (engines[i] == c) {
                engines[i] = engines[--n_engines];
                break;
            }
    c->next_gone = gone;
    gone = c;
}

void free_gone(void) {
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

void flush(struct connection *c) {
    ssize_t n = send(c->fd, c->out + c->out_from, c->out_used - c->out_from, MSG_NOSIGNAL);
    if (n > 0) c->out_from += n;
    if (c->out_from == c->out_used) {
        c->out_from = c->out_used = 0;
        want(c, EPOLLIN);
    }
}

/* A peer that is gone is noticed when it is read. */
void say(struct connection *c, const char *bytes, size_t size) {
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
