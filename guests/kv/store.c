/* The key-value table; see store.h. */
#include "guests/kv/store.h"

#include "guests/runtime/text.h"

#define NONE STORE_ENTRIES

void store_init(struct store *store)
{
    for (unsigned i = 0; i < STORE_BUCKETS; i++)
        store->buckets[i] = NONE;
    for (unsigned i = 0; i < STORE_ENTRIES; i++) {
        store->entries[i].key_length = 0;
        store->entries[i].next = (uint16_t)(i + 1);
    }
    store->free = 0;
    store->count = 0;
}

/* FNV-1a, 32 bits. */
static uint16_t *bucket_of(struct store *store, const char *key, size_t length)
{
    uint32_t hash = 0x811c9dc5;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)key[i]) * 0x01000193;
    return &store->buckets[(hash ^ hash >> 16) % STORE_BUCKETS];
}

/* The link that points at the key's entry, or the NONE at the end of its bucket. */
static uint16_t *find_link(struct store *store, const char *key, size_t length)
{
    uint16_t *link = bucket_of(store, key, length);
    while (*link != NONE) {
        struct store_entry *entry = &store->entries[*link];
        if (entry->key_length == length && memcmp(entry->key, key, length) == 0)
            break;
        link = &entry->next;
    }
    return link;
}

struct store_entry *store_find(struct store *store, const char *key, size_t length)
{
    uint16_t *link = find_link(store, key, length);
    return *link == NONE ? NULL : &store->entries[*link];
}

struct store_entry *store_put(struct store *store, const char *key, size_t length)
{
    uint16_t *link = find_link(store, key, length);
    if (*link != NONE)
        return &store->entries[*link];
    if (store->free == NONE)
        return NULL;
    struct store_entry *entry = &store->entries[store->free];
    *link = store->free;
    store->free = entry->next;
    store->count++;
    entry->next = NONE;
    entry->key_length = (uint8_t)length;
    entry->value_length = 0;
    memcpy(entry->key, key, length);
    return entry;
}

void store_set_value(struct store_entry *entry, const char *value, size_t length)
{
    memcpy(entry->value, value, length);
    entry->value_length = (uint8_t)length;
}

bool store_remove(struct store *store, const char *key, size_t length)
{
    uint16_t *link = find_link(store, key, length);
    if (*link == NONE)
        return false;
    uint16_t index = *link;
    struct store_entry *entry = &store->entries[index];
    *link = entry->next;
    entry->key_length = 0;
    entry->next = store->free;
    store->free = index;
    store->count--;
    return true;
}
