/* stopped COMMAND: stops the console as Ctrl-S does, runs the command, and lets it go on.
 * To be run in a session of its own: a background job may not do that to its terminal (SIGTTOU). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int console = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (console < 0 || tcflow(console, TCOOFF) != 0) { perror("stop the console"); return 1; }
    int status = system(argv[1]);
    if (tcflow(console, TCOON) != 0) return 1;
    dprintf(console, "the console went on: %d\n", status);
    return 0;
}
