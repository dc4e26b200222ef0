/* What the process finds, and how it ends: a part of probe.c. */

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
