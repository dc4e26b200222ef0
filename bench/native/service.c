/* A trivial native service: says in the kernel's log that it is up, then waits for ever. */
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    static const char up[] = "<6>bench: service up\n";
    int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (log < 0 || write(log, up, sizeof up - 1) < 0) return 1;
    for (;;) pause();
}
