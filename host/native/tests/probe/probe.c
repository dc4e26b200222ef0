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

#include "network.h"
#include "files.h"
#include "processes.h"
#include "answers.h"

static const struct attempt attempts[] = {
    {"socket", try_socket}, {"bind", try_bind}, {"listen", try_listen}, {"connect", try_connect},
    {"converse", try_converse}, {"connect-unix", try_connect_unix}, {"interface", try_interface},
    {"read", try_read}, {"write", try_write}, {"open-write", try_open_write}, {"make", try_make},
    {"truncate", try_truncate}, {"chmod", try_chmod}, {"chown", try_chown}, {"unlink", try_unlink},
    {"mkdir", try_mkdir}, {"rename", try_rename}, {"utime", try_utime}, {"exists", try_exists},
    {"block-device", try_block_device}, {"list", try_list}, {"count", try_count}, {"size", try_size},
    {"mode", say_mode}, {"flags", say_flags}, {"call", try_call},
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
