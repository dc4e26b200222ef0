/* Processes, and ways out: a part of probe.c. */

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
/* call:NUMBER: a system call with arguments that no kernel accepts */
static int try_call(char **a)
{
    return syscall(atol(a[0]), -1L, -1L, -1L, -1L, -1L, -1L) < 0 ? -1 : 0;
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
