/* killer COUNT MIN SEED: sends COUNT times SIGKILL to a random child of PID 1 and waits until it is gone.
 * While fewer than MIN children live it waits for PID 1 to start more, so it keeps pace with restarts.
 * The leader of its session (the shell of the console) is spared: a command may run in a subshell of that. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 4096, DEADLINE_MS = 60000 };

static int victims[MOST];

/* proc(5): /proc/PID/task/TID/children, with a space after each number; each child stands at the thread that made
 * it. */
static int list(int spared) {
    static char text[MOST * 8];
    size_t size = 0;
    DIR *threads = opendir("/proc/1/task");
    if (threads == NULL) { perror("/proc/1/task"); exit(1); }
    for (struct dirent *thread; (thread = readdir(threads)) != NULL;) {
        char path[64];
        snprintf(path, sizeof path, "/proc/1/task/%.16s/children", thread->d_name);
        int file = thread->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got;
        while (file >= 0 && (got = read(file, text + size, sizeof text - 1 - size)) > 0) size += got;
        if (file >= 0) close(file);
    }
    closedir(threads);
    text[size] = 0;
    int count = 0;
    for (char *at = text, *end; count < MOST; at = end) {
        int pid = strtol(at, &end, 10);
        if (end == at) break;
        if (pid != spared) victims[count++] = pid;
    }
    return count;
}

static unsigned long long state;
static unsigned next_random(void) {
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return state >> 32;
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int wanted = atoi(argv[1]), least = atoi(argv[2]), spared = getsid(0);
    state = strtoull(argv[3], NULL, 10) | 1;
    long waits = 0;
    for (int killed = 0; killed < wanted;) {
        int count = list(spared);
        if (count < least) {
            if (++waits > DEADLINE_MS) { printf("only %d children of %d\n", count, least); return 1; }
            usleep(1000);
            continue;
        }
        waits = 0;
        int pid = victims[next_random() % count];
        int pidfd = syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0) continue; /* ended just now */
        if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0) {
            struct pollfd end = {.fd = pidfd, .events = POLLIN};
            if (poll(&end, 1, DEADLINE_MS) != 1) { printf("%d does not die\n", pid); return 1; }
            killed++;
        }
        close(pidfd);
    }
    printf("killed %d\n", wanted);
    return 0;
}
