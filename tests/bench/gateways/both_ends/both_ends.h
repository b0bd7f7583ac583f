/* What the parts of both ends share. */
#ifndef BOTH_ENDS_H
#define BOTH_ENDS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    REQUEST_BODY = 2048,
    ANSWER_BODY = 548,
    EVENT = 185,
    FIRST_SEED = 100000, /* seeds of one width, so that a request is written in place */
    MOST_CLIENTS = 4096,
    MOST_PIDS = 256,
    BUFFER = 65536,
    NO_CONNECTION = 3, /* how the process ends where the gateway takes none */
};
#define MS INT64_C(1000000) /* in nanoseconds, as all times are */

struct connection {
    enum { COMMANDS, LISTENER, ENGINE, CLIENT } kind;
    int fd;
    bool gone;
    struct connection *next_gone;
    char *in, *out;
    size_t in_used, in_room, out_from, out_used, out_room;

    struct connection *other; /* of a stream: the engine's side for the client, the client's for the engine */

    /* of the engine */
    bool streaming;
    int sent, total, dropped;
    int64_t sent_at;

    /* of a client */
    int number, status, received;
    bool asked, head_read, chunked, pooling, heard;
    int64_t due, left; /* `left`: of the body, or of the frame */
    enum { SIZE, DATA, END_OF_DATA, TRAILER } frame;
    char last;
};

struct run {
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
};

extern struct run run;
extern int poller, port, n_engines;
extern const char *model, *key;
extern struct connection *clients[MOST_CLIENTS], *engines[4 * MOST_CLIENTS];

/* connections.c */
int64_t now(void);
void fail(const char *what);
void *have(void *memory, size_t size);
struct connection *watch(int fd, int kind);
struct connection *dial(int number);
void at_once(int fd);
void unlink_stream(struct connection *c);
void drop(struct connection *c);
void free_gone(void);
void flush(struct connection *c);
void say(struct connection *c, const char *bytes, size_t size);

/* messages.c */
extern char *request, whole[1024], event[512], last_event[1024];
extern size_t request_size, seed_at, whole_size, event_size, last_event_size;
void write_answers(void);
void write_request(void);

/* engine.c */
void next_event(struct connection *c);
void read_engine(struct connection *c);
void accept_all(struct connection *listener);

/* clients.c */
void ask(struct connection *c, int64_t due);
void ask_when_due(struct connection *c);
void read_client(struct connection *c);

/* gateway_cost.c */
double cpu_of_gateway(void);
double own_cpu(void);
long memory_of_gateway(void);

/* run.c */
void begin(char *words);
void step(void);

#endif
