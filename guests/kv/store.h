/*
 * The key-value table: at most STORE_ENTRIES pairs of short strings, in fixed memory.
 *
 * Entries live in one array; a hash table of chains finds them, and free entries form another chain. Walking the array
 * gives an order that depends on the history of the table only.
 */
#ifndef GUEST_KV_STORE_H
#define GUEST_KV_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_ENTRIES   1024
#define STORE_BUCKETS   1024 /* a power of two */
#define STORE_KEY_MAX   32
#define STORE_VALUE_MAX 128

struct store_entry {
    uint8_t key_length; /* 0: free */
    uint8_t value_length;
    uint16_t next; /* in the bucket, or in the chain of free entries; STORE_ENTRIES ends it */
    char key[STORE_KEY_MAX];
    char value[STORE_VALUE_MAX];
};

struct store {
    struct store_entry entries[STORE_ENTRIES];
    uint16_t buckets[STORE_BUCKETS];
    uint16_t free;
    unsigned count;
};

void store_init(struct store *store);

/* NULL when the key is not there. Keys have 1 to STORE_KEY_MAX bytes, as everywhere below. */
struct store_entry *store_find(struct store *store, const char *key, size_t length);

/* The entry of the key, a new one with an empty value where need be; NULL when the table is full. */
struct store_entry *store_put(struct store *store, const char *key, size_t length);

/* At most STORE_VALUE_MAX bytes. */
void store_set_value(struct store_entry *entry, const char *value, size_t length);

/* Whether it was there. */
bool store_remove(struct store *store, const char *key, size_t length);

#endif
