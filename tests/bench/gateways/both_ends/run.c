/* One run: what it does first, when it is measured, and how it leaves the gateway. */
#define _GNU_SOURCE
#include "both_ends.h"

static const int64_t STALLED = 3000 * MS;   /* an event that no client gets: the gateway has dropped it */
static const int64_t NOTICED = 300 * MS;    /* that a client has left */
static const int64_t PATIENCE = 30000 * MS; /* for all clients to be answered something */

struct run run;

static int by_size(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

/* Nearest rank, microseconds; -1 where nothing was timed. */
static double percentile(double share) {
    return run.n_times ? run.microseconds[(size_t)(share * (run.n_times - 1) + 0.5)] : -1;
}

void begin(char *words) {
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

/* A gateway that stood still all the time is measured until it says something. */
static bool heard_of(void) {
    return !run.clients || run.units || run.errors || now() - run.measured_since > PATIENCE;
}

void step(void) {
    if (run.phase == POOLING) pool();
    else if (run.phase == CLOSING) close_engines();
    else if (run.phase == RUNNING) {
        open_clients();
        ask_what_is_due();
        push_on_stalled();
        if (!run.measuring) start_measuring();
        else if (now() - run.measured_since > run.measured && heard_of()) finish();
    }
}
