/* Ends at once. Linked statically with the C library: the least a native program costs that was
 * built the usual way. */
int main(void) { return 0; }
