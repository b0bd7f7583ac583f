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
#include "both_ends.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

int poller, port, n_engines;
const char *model, *key;
struct connection *clients[MOST_CLIENTS], *engines[4 * MOST_CLIENTS];

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
