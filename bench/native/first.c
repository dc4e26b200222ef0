/* The kernel's first program in a timed boot: marks the hand-over in the kernel's log, becomes the
 * init under test (INIT, a path), and leaves a child behind that prints the log's time stamps once
 * everything has settled. The child sleeps until then, and the deterministic clock jumps over sleep,
 * so it takes no time from the init. Nothing else prints to the console from the kernel's log, since
 * at 115200 baud a line costs milliseconds. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Seconds of the guest's clock; the largest seed is up after a small part of it. */
enum { SETTLE = 20 };

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
    char *argv[] = {INIT, NULL};
    execv(INIT, argv);
    return 1;
}
