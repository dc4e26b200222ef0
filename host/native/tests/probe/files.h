/* Files: a part of probe.c. */

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
static int say_mode(char **a)
{
    struct stat stat_;
    if (stat(a[0], &stat_))
        return -1;
    sprintf(answer, "%o", stat_.st_mode & 07777);
    return 1;
}

/* flags:PATH: how the file system there is mounted */
static int say_flags(char **a)
{
    static const struct { unsigned long flag; const char *name; } flags[] = {
        {ST_RDONLY, "ro"}, {ST_NOSUID, "nosuid"}, {ST_NODEV, "nodev"}, {ST_NOEXEC, "noexec"},
    };
    struct statvfs stat;
    if (statvfs(a[0], &stat))
        return -1;
    strcpy(answer, "");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (stat.f_flag & flags[i].flag)
            strcat(strcat(answer, *answer ? "," : ""), flags[i].name);
    return 1;
}
