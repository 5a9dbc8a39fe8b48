/* See disk.h and disk_contents.h. */
#include "vmm/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vmm/disk_contents.h"

/* Seeds of the digest of a cluster that is lost: no cluster's number has this bit. */
#define LOST_SEED (UINT64_C(1) << 63)

static bool bit(const uint64_t *bits, uint64_t number)
{
    return bits[number / 64] >> number % 64 & 1;
}

static void set_bit(uint64_t *bits, uint64_t number)
{
    bits[number / 64] |= UINT64_C(1) << number % 64;
}

static void clear_bit(uint64_t *bits, uint64_t number)
{
    bits[number / 64] &= ~(UINT64_C(1) << number % 64);
}

uint64_t disk_sectors(const struct disk *disk)
{
    return disk->config.size / DISK_SECTOR;
}

bool disk_is_read_only(const struct disk *disk)
{
    return disk->config.read_only;
}

enum disk_cluster disk_cluster(const struct disk *disk, uint64_t cluster)
{
    if (!bit(disk->present, cluster))
        return DISK_CLUSTER_IMAGE;
    return bit(disk->lost, cluster) ? DISK_CLUSTER_LOST : DISK_CLUSTER_BYTES;
}

size_t disk_cluster_length(const struct disk *disk, uint64_t cluster)
{
    uint64_t left = disk->config.size - (cluster << DISK_CLUSTER_SHIFT);

    return left < DISK_CLUSTER ? (size_t)left : DISK_CLUSTER;
}

struct digest disk_cluster_digest(const struct disk *disk, uint64_t cluster, const void *bytes)
{
    return digest_of(bytes, disk_cluster_length(disk, cluster), cluster);
}

int disk_create(struct disk *disk, unsigned number, const struct disk_config *config, const struct door *door,
                struct error *error)
{
    CHECK(config->size > 0 && config->size % DISK_SECTOR == 0 && config->size <= DISK_SIZE_MAX);
    *disk = (struct disk){.config = *config, .number = number, .door = door};
    disk->clusters = (config->size + DISK_CLUSTER - 1) >> DISK_CLUSTER_SHIFT;
    disk->quota = config->quota ? config->quota >> DISK_CLUSTER_SHIFT : disk->clusters;
    disk->words = (size_t)((disk->clusters + 63) / 64);
    /* Memory that is only asked for here, and taken as the guest writes. */
    disk->present = calloc(disk->words, sizeof *disk->present);
    disk->lost = calloc(disk->words, sizeof *disk->lost);
    disk->changed = calloc(disk->words, sizeof *disk->changed);
    disk->digests = calloc(disk->clusters, sizeof *disk->digests);
    if (!disk->present || !disk->lost || !disk->changed || !disk->digests) {
        disk_destroy(disk);
        return error_set(error, ERROR_HOST, "out of memory for disk %u", number);
    }
    return 0;
}

void disk_destroy(struct disk *disk)
{
    free(disk->present);
    free(disk->lost);
    free(disk->changed);
    free(disk->digests);
    *disk = (struct disk){0};
}

/* From here on the cluster is present, with this digest. */
static void set_cluster(struct disk *disk, uint64_t cluster, struct digest digest, bool lost)
{
    if (!bit(disk->present, cluster))
        disk->written++;
    set_bit(disk->present, cluster);
    set_bit(disk->changed, cluster);
    if (disk->watched)
        set_bit(disk->watched, cluster);
    if (lost)
        set_bit(disk->lost, cluster);
    else
        clear_bit(disk->lost, cluster);
    disk->sum = digest_add(digest_subtract(disk->sum, disk->digests[cluster]), digest);
    disk->digests[cluster] = digest;
}

static void lose_cluster(struct disk *disk, uint64_t cluster)
{
    set_cluster(disk, cluster, digest_of(NULL, 0, LOST_SEED | cluster), true);
}

static bool ask_host(struct disk *disk, enum disk_transfer kind, uint64_t offset, void *bytes, uint64_t length)
{
    return disk->door->disk(disk->door->context, disk->number, kind, offset, bytes, (size_t)length);
}

/* How many of the clusters from `cluster` on, up to `limit`, stand as the first one does. */
static uint64_t run_length(const struct disk *disk, uint64_t cluster, uint64_t limit)
{
    enum disk_cluster first = disk_cluster(disk, cluster);
    uint64_t count = 1;

    while (count < limit && disk_cluster(disk, cluster + count) == first)
        count++;
    return count;
}

static bool read_bytes(struct disk *disk, uint64_t offset, uint8_t *bytes, uint64_t length)
{
    while (length > 0) {
        uint64_t cluster = offset >> DISK_CLUSTER_SHIFT;
        uint64_t last = (offset + length - 1) >> DISK_CLUSTER_SHIFT;
        enum disk_cluster kind = disk_cluster(disk, cluster);
        uint64_t end = (cluster + run_length(disk, cluster, last - cluster + 1)) << DISK_CLUSTER_SHIFT;
        uint64_t part = end - offset < length ? end - offset : length;
        if (kind == DISK_CLUSTER_LOST ||
            !ask_host(disk, kind == DISK_CLUSTER_IMAGE ? DISK_READ_IMAGE : DISK_READ_OVERLAY, offset, bytes, part))
            return false;
        offset += part;
        bytes += part;
        length -= part;
    }
    return true;
}

/* Whole clusters. When the host fails, nobody knows how far it came. */
static bool write_clusters(struct disk *disk, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    uint64_t first = offset >> DISK_CLUSTER_SHIFT;
    uint64_t count = (length + DISK_CLUSTER - 1) >> DISK_CLUSTER_SHIFT;
    bool good = ask_host(disk, DISK_WRITE_OVERLAY, offset, (void *)(uintptr_t)bytes, length);

    for (uint64_t i = 0; i < count; i++) {
        if (good)
            set_cluster(disk, first + i, disk_cluster_digest(disk, first + i, bytes + (i << DISK_CLUSTER_SHIFT)),
                        false);
        else if (disk->config.in_place || bit(disk->present, first + i))
            lose_cluster(disk, first + i);
    }
    return good;
}

/* A part of one cluster: the rest of it is read, and all of it written. */
static bool write_part(struct disk *disk, uint64_t offset, const uint8_t *bytes, size_t length)
{
    uint64_t cluster = offset >> DISK_CLUSTER_SHIFT;
    uint64_t start = cluster << DISK_CLUSTER_SHIFT;
    uint8_t whole[DISK_CLUSTER];

    if (!read_bytes(disk, start, whole, disk_cluster_length(disk, cluster)))
        return false;
    memcpy(whole + (offset - start), bytes, length);
    return write_clusters(disk, start, whole, disk_cluster_length(disk, cluster));
}

static bool write_bytes(struct disk *disk, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    while (length > 0) {
        uint64_t cluster = offset >> DISK_CLUSTER_SHIFT;
        uint64_t within = offset & (DISK_CLUSTER - 1);
        uint64_t part = disk_cluster_length(disk, cluster) - within;
        bool good;
        if (within == 0 && part <= length) {
            /* As many whole clusters as there are; the disk's last one is whole too. */
            part = offset + length == disk->config.size ? length : length & ~(uint64_t)(DISK_CLUSTER - 1);
            good = write_clusters(disk, offset, bytes, part);
        } else {
            part = part < length ? part : length;
            good = write_part(disk, offset, bytes, (size_t)part);
        }
        if (!good)
            return false;
        offset += part;
        bytes += part;
        length -= part;
    }
    return true;
}

/* A write that would go beyond the quota is refused before anything of it is done. */
static bool quota_allows(const struct disk *disk, uint64_t offset, uint64_t length)
{
    uint64_t last = (offset + length - 1) >> DISK_CLUSTER_SHIFT;
    uint64_t more = 0;

    for (uint64_t cluster = offset >> DISK_CLUSTER_SHIFT; cluster <= last; cluster++)
        more += !bit(disk->present, cluster);
    return more == 0 || (disk->written < disk->quota && more <= disk->quota - disk->written);
}

static bool on_disk(const struct disk *disk, uint64_t sector, uint32_t count)
{
    return sector <= disk_sectors(disk) && count <= disk_sectors(disk) - sector;
}

bool disk_read(struct disk *disk, uint64_t sector, uint8_t *bytes, uint32_t count)
{
    uint64_t length = (uint64_t)count * DISK_SECTOR;

    if (on_disk(disk, sector, count) && read_bytes(disk, sector * DISK_SECTOR, bytes, length))
        return true;
    memset(bytes, 0, length);
    return false;
}

bool disk_write(struct disk *disk, uint64_t sector, const uint8_t *bytes, uint32_t count)
{
    uint64_t offset = sector * DISK_SECTOR;
    uint64_t length = (uint64_t)count * DISK_SECTOR;

    if (disk->config.read_only || !on_disk(disk, sector, count))
        return false;
    return count == 0 || (quota_allows(disk, offset, length) && write_bytes(disk, offset, bytes, length));
}

bool disk_flush(struct disk *disk)
{
    return disk->config.read_only || ask_host(disk, DISK_FLUSH, 0, NULL, 0);
}

int disk_transfer(const struct disk *disk, enum disk_transfer kind, uint64_t offset, void *bytes, size_t length,
                  struct error *error)
{
    const struct disk_backing *backing = &disk->config.backing;

    if (!backing->transfer)
        return error_set(error, ERROR_HOST, "disk %u: there are no bytes behind it here", disk->number);
    if (backing->transfer(backing->context, kind, offset, bytes, length, error) < 0)
        return error_wrap(error, "disk %u", disk->number);
    return 0;
}

int disk_save_cluster(const struct disk *disk, uint64_t cluster, uint8_t *bytes, struct error *error)
{
    if (disk_transfer(disk, DISK_READ_OVERLAY, cluster << DISK_CLUSTER_SHIFT, bytes, disk_cluster_length(disk, cluster),
                      error) < 0)
        return -1;
    if (!digest_equal(disk_cluster_digest(disk, cluster, bytes), disk->digests[cluster]))
        return error_set(error, ERROR_HOST, "disk %u: its overlay does not hold what the guest wrote", disk->number);
    return 0;
}

int disk_load_cluster(struct disk *disk, uint64_t cluster, const uint8_t *bytes, struct error *error)
{
    CHECK(cluster < disk->clusters);
    if (disk->config.read_only || (!bit(disk->present, cluster) && disk->written >= disk->quota))
        return error_set(error, ERROR_INPUT, "disk %u: more is written to it than may be", disk->number);
    if (!bytes) {
        lose_cluster(disk, cluster);
        return 0;
    }
    if (disk->config.backing.transfer &&
        disk_transfer(disk, DISK_WRITE_OVERLAY, cluster << DISK_CLUSTER_SHIFT, (void *)(uintptr_t)bytes,
                      disk_cluster_length(disk, cluster), error) < 0)
        return -1;
    set_cluster(disk, cluster, disk_cluster_digest(disk, cluster, bytes), false);
    return 0;
}

void disk_forget_changes(struct disk *disk)
{
    memset(disk->changed, 0, disk->words * sizeof *disk->changed);
}

void disk_state(struct disk *disk, struct state *state)
{
    uint64_t written = disk->written;
    struct digest sum = disk->sum;

    state_section(state, "disk", 1);
    state_u64(state, "written", &written);
    state_u64(state, "digest_low", &sum.low);
    state_u64(state, "digest_high", &sum.high);
    state_require(state, written == disk->written && digest_equal(sum, disk->sum),
                  "the clusters are not those that the machine had");
}
