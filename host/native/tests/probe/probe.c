/*
 * Tries for real what a Card is refused. Each argument is one attempt, NAME or NAME:ARG:ARG..., and prints one line:
 * the argument, a blank, and "ok", the name of the error, or what was asked for.
 *
 * Static, so that it runs in any mount namespace and says nothing about libraries.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 8

static char answer[4096];

/* An attempt: its arguments, those missing being ""; 0, or -1 with errno; or 1 with an answer. */
struct attempt {
    const char *name;
    int (*run)(char **a);
};

static int family(const char *name)
{
    if (!strcmp(name, "unix"))
        return AF_UNIX;
    if (!strcmp(name, "inet"))
        return AF_INET;
    if (!strcmp(name, "inet6"))
        return AF_INET6;
    if (!strcmp(name, "netlink"))
        return AF_NETLINK;
    if (!strcmp(name, "packet"))
        return AF_PACKET;
    if (!strcmp(name, "vsock"))
        return AF_VSOCK;
    return atoi(name);
}

static int type(const char *name)
{
    if (!strcmp(name, "raw"))
        return SOCK_RAW;
    if (!strcmp(name, "udp"))
        return SOCK_DGRAM;
    return SOCK_STREAM;
}

/* socket:FAMILY:TYPE:PROTOCOL */
static int try_socket(char **a)
{
    int fd = socket(family(a[0]), type(a[1]), atoi(a[2]));
    return fd < 0 ? -1 : close(fd);
}

static int address(struct sockaddr_storage *place, const char *text, const char *port)
{
    struct sockaddr_in *v4 = (void *)place;
    struct sockaddr_in6 *v6 = (void *)place;
    memset(place, 0, sizeof *place);
    if (strchr(text, '.')) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(atoi(port));
        inet_pton(AF_INET, text, &v4->sin_addr);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(atoi(port));
    v6->sin6_addr = !strcmp(text, "any6") ? in6addr_any : in6addr_loopback;
    return sizeof *v6;
}

/* bind:TYPE:ADDRESS:PORT; the socket stays open */
static int bound(char **a)
{
    struct sockaddr_storage place;
    int length = address(&place, a[1], a[2]);
    int fd = socket(place.ss_family, type(a[0]), 0);
    int on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (void *)&place, length) ? -1 : fd;
}

static int try_bind(char **a)
{
    int fd = bound(a);
    return fd < 0 ? -1 : close(fd);
}

/* listen:ADDRESS:PORT */
static int try_listen(char **a)
{
    char *b[] = {"tcp", a[0], a[1]};
    int fd = bound(b);
    if (fd < 0)
        return -1;
    int result = listen(fd, 1);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* connect:TYPE:ADDRESS:PORT */
static int try_connect(char **a)
{
    struct sockaddr_storage place;
    int length = address(&place, a[1], a[2]);
    int fd = socket(place.ss_family, type(a[0]), 0);
    if (fd < 0)
        return -1;
    int result = connect(fd, (void *)&place, length);
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

/* converse:PORT: listen on loopback, connect to it */
static int try_converse(char **a)
{
    char *b[] = {"tcp", "127.0.0.1", a[0]};
    int fd = bound(b);
    if (fd < 0 || listen(fd, 1))
        return -1;
    int result = try_connect(b);
    close(fd);
    return result;
}

/* connect-unix:PATH; an @ stands for an abstract name */
static int try_connect_unix(char **a)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int length = offsetof(struct sockaddr_un, sun_path) + strlen(a[0]);
    strncpy(place.sun_path, a[0], sizeof place.sun_path - 1);
    if (a[0][0] == '@')
        place.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return fd < 0 ? -1 : connect(fd, (void *)&place, length);
}

/* interface:NAME: up or down */
static int try_interface(char **a)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    strncpy(request.ifr_name, a[0], IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request))
        return -1;
    strcpy(answer, request.ifr_flags & IFF_UP ? "up" : "down");
    return 1;
}

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : close(fd);
}

static int try_read(char **a)
{
    char byte;
    int fd = open(a[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    int result = read(fd, &byte, 1) < 0 ? -1 : 0;
    close(fd);
    return result;
}

static int try_write(char **a)
{
    int fd = open(a[0], O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    int result = write(fd, "x", 1) < 0 ? -1 : 0;
    close(fd);
    return result;
}

static int try_open_write(char **a) { return opened(a[0], O_WRONLY); }
static int try_make(char **a) { return opened(a[0], O_WRONLY | O_CREAT | O_EXCL); }
static int try_truncate(char **a) { return truncate(a[0], 0); }
static int try_chmod(char **a) { return chmod(a[0], 0600); }
static int try_chown(char **a) { return chown(a[0], atoi(a[1]), -1); }
static int try_unlink(char **a) { return unlink(a[0]); }
static int try_mkdir(char **a) { return mkdir(a[0], 0755); }
static int try_rename(char **a) { return rename(a[0], a[1]); }
static int try_utime(char **a) { return utimensat(AT_FDCWD, a[0], NULL, 0); }
static int try_exists(char **a) { return access(a[0], F_OK); }
static int try_block_device(char **a) { return mknod(a[0], S_IFBLK | 0600, makedev(1, 0)); }

static int try_list(char **a)
{
    DIR *folder = opendir(a[0]);
    return folder ? closedir(folder) : -1;
}

/* count:PATH: the entries of a folder */
static int try_count(char **a)
{
    DIR *folder = opendir(a[0]);
    int count = 0;
    if (!folder)
        return -1;
    while (readdir(folder))
        count++;
    closedir(folder);
    sprintf(answer, "%d", count - 2);
    return 1;
}

static int try_size(char **a)
{
    struct statvfs stat;
    if (statvfs(a[0], &stat))
        return -1;
    sprintf(answer, "%llu", (unsigned long long)stat.f_blocks * stat.f_frsize);
    return 1;
}

static int waited(pid_t pid)
{
    if (pid < 0)
        return -1;
    if (pid == 0)
        _exit(0);
    return waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}

static int try_fork(char **a) { return waited(fork()); }
static int try_old_fork(char **a) { return waited(syscall(SYS_fork)); }
static int try_vfork(char **a)
{
    pid_t pid = vfork();
    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : waitpid(pid, NULL, 0) < 0 ? -1 : 0;
}
static int try_clone3(char **a)
{
    unsigned long long arguments[8] = {0};
    arguments[4] = SIGCHLD;
    return waited(syscall(SYS_clone3, arguments, sizeof arguments));
}
static int try_clone_user(char **a)
{
    return waited(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static void *nothing(void *a) { return a; }
static int try_thread(char **a)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    if (errno)
        return -1;
    errno = pthread_join(thread, NULL);
    return errno ? -1 : 0;
}

/* exec:PATH: in place of this program */
static int try_exec(char **a)
{
    fflush(stdout);
    return execl(a[0], a[0], NULL);
}

static int try_ptrace(char **a) { return ptrace(PTRACE_ATTACH, atoi(a[0]), 0, 0); }
static int try_peek(char **a)
{
    char byte;
    struct iovec place = {&byte, 1}, other = {&answer, 1};
    return process_vm_readv(atoi(a[0]), &place, 1, &other, 1, 0) < 0 ? -1 : 0;
}
static int try_kill(char **a) { return kill(atoi(a[0]), atoi(a[1])); }
static int try_mount(char **a) { return mount("none", a[0], "tmpfs", 0, NULL); }
static int try_umount(char **a) { return umount2(a[0], MNT_DETACH); }
static int try_remount(char **a) { return mount(NULL, a[0], NULL, MS_REMOUNT | MS_BIND, NULL); }
static int try_unshare(char **a) { return unshare(strtoul(a[0], NULL, 0)); }
static int try_setns(char **a)
{
    int fd = open(a[0], O_RDONLY);
    return fd < 0 ? -1 : setns(fd, 0);
}
static int try_setuid(char **a) { return setuid(atoi(a[0])); }
static int try_setgid(char **a) { return setgid(atoi(a[0])); }
static int try_sethostname(char **a) { return sethostname(a[0], strlen(a[0])); }
static int try_mlock(char **a)
{
    void *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mlock(page, 1 << 20);
}
static int try_settime(char **a)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return settimeofday(&now, NULL);
}
/* Only turns off Ctrl-Alt-Del, should it be let through. */
static int try_reboot(char **a) { return syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0); }
static int try_bpf(char **a) { return syscall(SYS_bpf, 0, NULL, 0) < 0 ? -1 : 0; }
static int try_keyctl(char **a)
{
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1) < 0 ? -1 : 0;
}
static int try_io_uring(char **a)
{
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters) < 0 ? -1 : 0;
}
static int try_perf(char **a)
{
    char attributes[128] = {1};
    return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) < 0 ? -1 : 0;
}
static int try_userfaultfd(char **a) { return syscall(SYS_userfaultfd, 1) < 0 ? -1 : 0; }
static int try_module(char **a) { return syscall(SYS_init_module, NULL, 0, ""); }
static int try_kexec(char **a) { return syscall(SYS_kexec_load, 0, 0, NULL, 0x8000000); }
static int try_swapon(char **a) { return syscall(SYS_swapon, "/no/such/file", 0); }
static int try_handle(char **a)
{
    struct { struct file_handle head; char rest[128]; } handle = {.head.handle_bytes = 128};
    int mount;
    if (name_to_handle_at(AT_FDCWD, a[0], &handle.head, &mount, 0))
        return -1;
    int folder = open("/", O_RDONLY | O_DIRECTORY);
    return open_by_handle_at(folder, &handle.head, O_RDONLY) < 0 ? -1 : 0;
}
static int try_tiocsti(char **a) { return ioctl(0, TIOCSTI, "x"); }
/* getpid by the number it has for x32 programs */
static int try_x32(char **a) { return syscall(0x40000000 | SYS_getpid) < 0 ? -1 : 0; }
/* getpid as a 32-bit program asks for it */
static int try_int80(char **a)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    return result < 0 ? -1 : 0;
}
static int try_memory(char **a)
{
    return mmap(NULL, strtoul(a[0], NULL, 0), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        == MAP_FAILED ? -1 : 0;
}
static int try_open_files(char **a)
{
    for (int count = atoi(a[0]); count > 0; count--)
        if (dup(0) < 0)
            return -1;
    return 0;
}
/* forks:N: so many children at once */
static int try_forks(char **a)
{
    int children = atoi(a[0]), made = 0, result = 0;
    for (; made < children; made++) {
        pid_t pid = fork();
        if (pid == 0)
            pause();
        if (pid < 0) {
            result = -1;
            break;
        }
    }
    int error = errno;
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (made-- > 0)
        wait(NULL);
    errno = error;
    return result;
}

/* Answers. */
static int say_id(char **a)
{
    gid_t groups[64];
    int count = getgroups(64, groups);
    int length = sprintf(answer, "%d/%d", geteuid(), getegid());
    for (int i = 0; i < count; i++)
        length += sprintf(answer + length, ",%d", groups[i]);
    return 1;
}
static int say_pid(char **a) { return sprintf(answer, "%d", getpid()), 1; }
static int say_parent(char **a) { return sprintf(answer, "%d", getppid()), 1; }
static int say_session(char **a) { return sprintf(answer, "%d", getsid(0)), 1; }
static int say_hostname(char **a) { return gethostname(answer, sizeof answer) ? -1 : 1; }
static int say_link(char **a)
{
    ssize_t length = readlink(a[0], answer, sizeof answer - 1);
    if (length < 0)
        return -1;
    answer[length] = 0;
    return 1;
}
static int say_status(char **a)
{
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    size_t length = strlen(a[0]);
    if (!file)
        return -1;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, a[0], length) && line[length] == ':') {
            line[strcspn(line, "\n")] = 0;
            strcpy(answer, line + length + 2);
        }
    fclose(file);
    return 1;
}
static int say_line(char **a)
{
    FILE *file = fopen(a[0], "re");
    if (!file || !fgets(answer, sizeof answer, file))
        return -1;
    answer[strcspn(answer, "\n")] = 0;
    fclose(file);
    return 1;
}
/* Capabilities, without /proc. */
static int say_capabilities(char **a)
{
    unsigned header[2] = {0x20080522, 0}, sets[6];
    if (syscall(SYS_capget, header, sets))
        return -1;
    sprintf(answer, "%08x%08x", sets[3], sets[0]);
    return 1;
}

static int try_exit(char **a) { fflush(stdout); _exit(atoi(a[0])); }
static int try_die(char **a)
{
    struct rlimit none = {0, 0};
    fflush(stdout);
    setrlimit(RLIMIT_CORE, &none);
    signal(atoi(a[0]), SIG_DFL);
    raise(atoi(a[0]));
    pause();
    return 0;
}
/* Says so, and waits to be killed. */
static int try_wait(char **a)
{
    printf("waiting\n");
    fflush(stdout);
    for (;;)
        pause();
}
/* orphan: leaves a process behind that leads a session of its own, and says its number */
static int try_orphan(char **a)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe(ends))
        return -1;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        pid = fork();
        if (pid == 0) {
            close(1);
            close(2);
            for (;;)
                pause();
        }
        _exit(write(ends[1], &pid, sizeof pid) != sizeof pid);
    }
    waitpid(child, NULL, 0);
    if (read(ends[0], &pid, sizeof pid) != sizeof pid)
        return -1;
    sprintf(answer, "%d", pid);
    return 1;
}
/* reaped:PID: waits until nothing has this number any more, which somebody must have reaped */
static int try_reaped(char **a)
{
    kill(atoi(a[0]), SIGKILL);
    while (!kill(atoi(a[0]), 0))
        usleep(1000);
    return 0;
}

static const struct attempt attempts[] = {
    {"socket", try_socket}, {"bind", try_bind}, {"listen", try_listen}, {"connect", try_connect},
    {"converse", try_converse}, {"connect-unix", try_connect_unix}, {"interface", try_interface},
    {"read", try_read}, {"write", try_write}, {"open-write", try_open_write}, {"make", try_make},
    {"truncate", try_truncate}, {"chmod", try_chmod}, {"chown", try_chown}, {"unlink", try_unlink},
    {"mkdir", try_mkdir}, {"rename", try_rename}, {"utime", try_utime}, {"exists", try_exists},
    {"block-device", try_block_device}, {"list", try_list}, {"count", try_count}, {"size", try_size},
    {"fork", try_fork}, {"old-fork", try_old_fork}, {"vfork", try_vfork}, {"clone3", try_clone3},
    {"clone-user", try_clone_user}, {"thread", try_thread}, {"exec", try_exec}, {"ptrace", try_ptrace},
    {"peek", try_peek}, {"kill", try_kill}, {"mount", try_mount}, {"umount", try_umount},
    {"remount", try_remount}, {"unshare", try_unshare}, {"setns", try_setns}, {"setuid", try_setuid},
    {"setgid", try_setgid}, {"sethostname", try_sethostname}, {"mlock", try_mlock},
    {"settime", try_settime}, {"reboot", try_reboot}, {"bpf", try_bpf}, {"keyctl", try_keyctl},
    {"io_uring", try_io_uring}, {"perf", try_perf}, {"userfaultfd", try_userfaultfd},
    {"module", try_module}, {"kexec", try_kexec}, {"swapon", try_swapon}, {"handle", try_handle},
    {"tiocsti", try_tiocsti}, {"x32", try_x32}, {"int80", try_int80}, {"memory", try_memory},
    {"open-files", try_open_files}, {"forks", try_forks}, {"id", say_id}, {"pid", say_pid},
    {"parent", say_parent}, {"session", say_session}, {"hostname", say_hostname}, {"link", say_link},
    {"status", say_status}, {"line", say_line}, {"capabilities", say_capabilities},
    {"exit", try_exit}, {"die", try_die}, {"wait", try_wait}, {"orphan", try_orphan},
    {"reaped", try_reaped},
};

static void run(const char *argument)
{
    static char text[4096];
    char *a[MOST + 1];
    char *rest = text;
    strncpy(text, argument, sizeof text - 1);
    for (int i = 0; i <= MOST; i++) {
        char *part = strsep(&rest, ":");
        a[i] = part ? part : "";
    }
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        if (!strcmp(attempts[i].name, a[0])) {
            errno = 0;
            int result = attempts[i].run(a + 1);
            const char *error = strerrorname_np(errno);
            printf("%s %s\n", argument,
                result > 0 ? answer : result == 0 ? "ok" : error ? error : "?");
            fflush(stdout);
            return;
        }
    printf("%s unknown\n", argument);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    return 0;
}
