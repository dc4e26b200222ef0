/* Forks until it may not any more, and keeps all of them; says how many there were. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    int count = 0;
    for (;;) {
        pid_t child = fork();
        if (child == 0)
            for (;;) pause();
        if (child < 0) break;
        count++;
    }
    printf("hog: %d children\n", count);
    fflush(stdout);
    for (;;) pause();
}
