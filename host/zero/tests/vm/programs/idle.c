/* Does nothing until it is killed; without a C library, since hundreds of it run at once. */
void _start(void) {
    for (;;) {
        long result;
        __asm__ volatile("syscall" : "=a"(result) : "a"(34L /* pause */) : "rcx", "r11", "memory");
    }
}
