/* A native service that dies again and again: says in the kernel's log that it is up, lives for a while,
 * says that it goes down, and kills itself. */
#include "freestanding.h"

/* Longer than any supervisor here makes a service wait that has lived for too short a time, and long
 * enough that none takes it for one that crashes in a loop. */
static const struct {
    long seconds, nanoseconds;
} life = {3, 0};

void _start(void) {
    static const char up[] = "<6>bench: service up\n", down[] = "<6>bench: service down\n";
    long log = call(SYS_OPEN, (long)"/dev/kmsg", 1 /* O_WRONLY */, 0);
    if (log < 0 || call(SYS_WRITE, log, (long)up, sizeof up - 1) < 0) {
        call(SYS_EXIT, 1, 0, 0);
    }
    call(SYS_NANOSLEEP, (long)&life, 0, 0);
    call(SYS_WRITE, log, (long)down, sizeof down - 1);
    call(SYS_KILL, call(SYS_GETPID, 0, 0, 0), 9 /* SIGKILL */, 0);
    for (;;) call(SYS_PAUSE, 0, 0, 0);
}
