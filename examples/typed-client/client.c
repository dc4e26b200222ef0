/* A client of a typed service in C: sets a key of `example:kv/store`, reads it, and prints it. */
#include <stdio.h>
#include <string.h>

/* What wit-bindgen makes of the store's interface. */
#include "client.h"

static int failed(const example_kv_store_error_t *error)
{
    static const char *const reasons[] = {
        [EXAMPLE_KV_STORE_ERROR_TOO_LARGE] = "too large",
        [EXAMPLE_KV_STORE_ERROR_FULL] = "full",
    };
    if (error->tag == EXAMPLE_KV_STORE_ERROR_UNAVAILABLE) {
        const client_string_t *why = &error->val.unavailable;
        printf("the store does not answer: %.*s\n", (int)why->len, (const char *)why->ptr);
    } else {
        printf("the store refuses: %s\n", reasons[error->tag]);
    }
    return 1;
}

/* `wasi:cli/run`: a command runs once, to its end. */
int main(void)
{
    static char text[] = "C was here";
    client_string_t key;
    client_string_set(&key, "from-c");
    client_list_u8_t value = { (uint8_t *)text, strlen(text) };
    uint64_t revision;
    example_kv_store_error_t error;
    if (!example_kv_store_set(&key, &value, &revision, &error))
        return failed(&error);

    example_kv_store_option_entry_t entry;
    if (!example_kv_store_get(&key, &entry, &error))
        return failed(&error);
    if (!entry.is_some) {
        printf("somebody has removed the key\n");
        return 1;
    }
    client_string_t by = entry.val.by.val;
    int by_len = entry.val.by.is_some ? (int)by.len : 0;
    printf("revision %llu by %.*s: %.*s\n", (unsigned long long)revision, by_len, (const char *)by.ptr,
           (int)entry.val.value.len, (const char *)entry.val.value.ptr);
    example_kv_store_option_entry_free(&entry);
    return 0;
}
