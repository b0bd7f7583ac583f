/* What the gateway's processes use. */
#define _GNU_SOURCE
#include "both_ends.h"

#include <dirent.h>
#include <sys/resource.h>

/* Nanoseconds that the gateway's threads have run. */
double cpu_of_gateway(void) {
    double sum = 0;
    for (int i = 0; i < run.n_pids; i++) {
        char path[300];
        snprintf(path, sizeof path, "/proc/%d/task", run.pids[i]);
        DIR *tasks = opendir(path);
        for (struct dirent *task; tasks && (task = readdir(tasks));) {
            if (*task->d_name == '.') continue; /* `..` has a schedstat too: the first thread's */
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

double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e9 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e3;
}

/* KiB, shared pages counted once for each process. */
long memory_of_gateway(void) {
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
