/* The kernel's first program in a timed boot: marks the hand-over in the kernel's log, becomes the
 * init under test (INIT, its path; ARGV, its arguments, if it takes any), and leaves a child behind that
 * prints the log's time stamps, and what supervision holds in memory, once everything has settled. The child sleeps until then, and the deterministic clock jumps over sleep,
 * so it takes no time from the init. Nothing else prints to the console from the kernel's log, since
 * at 115200 baud a line costs milliseconds. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef ARGV
#define ARGV INIT
#endif

#define PROC "/bench/proc"

/* Seconds of the guest's clock; the largest seed is up after a small part of it. */
enum { SETTLE = 20 };

/* The resident memory of one process in KiB, a shared page counted once among those that share it: 0 for a
 * service, for this program and for a kernel thread. Not VmRSS of /proc/PID/status, which is off by up to
 * 64 pages (proc(5)). */
static unsigned long held_by(const char *pid) {
    /* By the names of their files in the image; `run` is a service's in a service directory. */
    static const char *const others[] = {"first", "service", "mortal", "run"};
    char path[64], line[128], name[64] = "";
    unsigned long kib = 0;
    snprintf(path, sizeof path, PROC "/%.16s/comm", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%63s", name) != 1) name[0] = 0;
    fclose(file);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (strcmp(name, others[i]) == 0) return 0;
    }
    snprintf(path, sizeof path, PROC "/%.16s/smaps_rollup", pid);
    file = fopen(path, "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) sscanf(line, "Pss: %lu kB", &kib);
    fclose(file);
    return kib;
}

/* What PID 1 and its helpers hold. Its own view of /proc, since not every init mounts one. */
static unsigned long held(void) {
    unsigned long kib = 0;
    mkdir(PROC, 0755);
    if (mount("proc", PROC, "proc", 0, NULL) != 0) return 0;
    DIR *all = opendir(PROC);
    for (struct dirent *it; all != NULL && (it = readdir(all)) != NULL;) {
        if (it->d_name[0] >= '1' && it->d_name[0] <= '9') kib += held_by(it->d_name);
    }
    return kib;
}

/* A record is "priority,sequence,microseconds,flags;text" (Documentation/ABI/testing/dev-kmsg). */
static void report(int log) {
    sleep(SETTLE);
    FILE *out = fopen("/dev/ttyS0", "w");
    if (out == NULL) _exit(1);
    char record[8192];
    ssize_t size;
    while ((size = read(log, record, sizeof record - 1)) > 0) {
        record[size] = 0;
        char *text = strchr(record, ';');
        unsigned long long at = 0;
        if (text == NULL || sscanf(record, "%*u,%*u,%llu", &at) != 1) continue;
        text[1 + strcspn(text + 1, "\n")] = 0;
        if (strstr(text, "bench:") != NULL || strstr(text, "ente-zero") != NULL) {
            fprintf(out, "\nrecord %llu %s", at, text + 1);
        }
    }
    fprintf(out, "\nrecord 0 bench: supervision holds %lu KiB", held());
    fprintf(out, "\nrecords end\n");
    fclose(out);
    for (;;) pause();
}

int main(void) {
    static const char handover[] = "<6>bench: handover\n";
    int log = open("/dev/kmsg", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (log < 0) return 1;
    lseek(log, 0, SEEK_END);
    switch (fork()) {
    case -1: return 1;
    case 0: report(log);
    }
    if (write(log, handover, sizeof handover - 1) < 0) return 1;
    char *argv[] = {ARGV, NULL};
    execv(INIT, argv);
    return 1;
}
