/* Stops PID 1, as a debugger would, when it is sent SIGTERM; says by a file when it is ready for that. */
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <unistd.h>

static void stop(int number)
{
    (void)number;
    ptrace(PTRACE_SEIZE, 1, 0, 0);
    ptrace(PTRACE_INTERRUPT, 1, 0, 0);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    if (argc != 2 || sigaction(SIGTERM, &action, 0) || creat(argv[1], 0644) < 0)
        return 1;
    for (;;)
        pause();
}
