/*
 * Tick counters: numbers that grow with the guest's own progress and with nothing else.
 *
 * Two kinds, each used only after the probe has seen it count a known program exactly:
 *   - KVM's binary statistic `insn_emulation` (KVM_GET_STATS_FD): the instructions that KVM's emulator has decoded. On
 *     hosts where kernel code runs in the emulator it counts every kernel instruction;
 *   - a perf counter of retired branches in guest mode, on hosts with a performance monitoring unit. Branches alone do
 *     not tell instructions apart, but branches and RIP together do, as in VMware FT and rr.
 *
 * Getting out of the guest a little before a tick is a matter of time for the first kind (there is nothing that
 * overflows), and of the counter's own overflow interrupt for the second.
 */
#include "vmm/kvm/kvm_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A retired-branch overflow interrupt arrives late by some branches; rr uses margins of this order. */
#define BRANCH_SKID 500
/* How long a replay that went astray may take to be noticed; ns. */
#define WATCH_INTERVAL 100000000
static int find_statistic(int fd, const char *name, off_t *offset, struct error *error)
{
    struct kvm_stats_header header;

    if (pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return error_set(error, ERROR_HOST, "KVM's statistics cannot be read");
    size_t entry = sizeof(struct kvm_stats_desc) + header.name_size;
    if (header.name_size > 4096 || header.num_desc > 4096)
        return error_set(error, ERROR_HOST, "KVM's statistics have an unknown layout");
    char *description = calloc(1, entry + 1);
    int found = -1;
    for (uint32_t i = 0; description && found < 0 && i < header.num_desc; i++) {
        const struct kvm_stats_desc *stat = (const struct kvm_stats_desc *)description;
        if (pread(fd, description, entry, header.desc_offset + (off_t)(i * entry)) != (ssize_t)entry)
            break;
        if (strcmp(stat->name, name) == 0 && stat->size == 1) {
            *offset = (off_t)header.data_offset + stat->offset;
            found = 0;
        }
    }
    free(description);
    return found == 0 ? 0 : error_set(error, ERROR_HOST, "this KVM keeps no statistic %s", name);
}

static int open_branches(struct kvm_engine *kvm, struct error *error)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_HW_BRANCH_INSTRUCTIONS,
        .sample_period = 1ULL << 40, /* armed for real by kvm_counter_arm */
        .pinned = 1,
        .exclude_host = 1,
        .exclude_hv = 1,
        .wakeup_events = 1,
    };
    int fd = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return error_errno(error, "no hardware branch counter");
    struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = kvm->thread_id};
    if (fcntl(fd, F_SETOWN_EX, &owner) < 0 || fcntl(fd, F_SETSIG, KVM_KICK_SIGNAL) < 0 ||
        fcntl(fd, F_SETFL, O_ASYNC) < 0) {
        error_errno(error, "the branch counter cannot signal");
        close(fd);
        return -1;
    }
    return fd;
}

int kvm_counter_open(struct kvm_engine *kvm, bool branches, struct error *error)
{
    struct kvm_counter *counter = &kvm->counter;

    *counter = (struct kvm_counter){.fd = -1, .branches = branches};
    if (branches) {
        counter->fd = open_branches(kvm, error);
        return counter->fd < 0 ? -1 : 0;
    }
    counter->fd = ioctl(kvm->vcpu_fd, KVM_GET_STATS_FD, NULL);
    if (counter->fd < 0)
        return error_errno(error, "KVM_GET_STATS_FD");
    if (find_statistic(counter->fd, "insn_emulation", &counter->offset, error) < 0) {
        kvm_counter_close(counter);
        return -1;
    }
    return 0;
}

void kvm_counter_close(struct kvm_counter *counter)
{
    if (counter->fd >= 0)
        close(counter->fd);
    counter->fd = -1;
}

static int read_raw(const struct kvm_counter *counter, uint64_t *raw, struct error *error)
{
    ssize_t got =
        counter->branches ? read(counter->fd, raw, sizeof *raw) : pread(counter->fd, raw, sizeof *raw, counter->offset);

    if (got != (ssize_t)sizeof *raw)
        return error_set(error, ERROR_HOST, "the tick counter cannot be read");
    return 0;
}

int kvm_counter_read(const struct kvm_counter *counter, uint64_t *ticks, struct error *error)
{
    uint64_t raw;

    if (read_raw(counter, &raw, error) < 0)
        return -1;
    *ticks = raw - counter->origin;
    return 0;
}

int kvm_counter_set(struct kvm_counter *counter, uint64_t ticks, struct error *error)
{
    uint64_t raw;

    if (read_raw(counter, &raw, error) < 0)
        return -1;
    counter->origin = raw - ticks;
    return 0;
}

static int arm_timer(struct kvm_engine *kvm, uint64_t remaining, struct error *error)
{
    /* The guest may be half as fast again as it ever was before the timer is late. */
    uint64_t rate = kvm->rate + kvm->rate / 2 + 1;
    uint64_t nanoseconds = remaining * 3 / 4 * 1000000 / rate + kvm->allowance;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)}};

    if (nanoseconds == 0)
        when.it_value.tv_nsec = 1;
    if (timer_settime(kvm->timer, 0, &when, NULL) < 0)
        return error_errno(error, "timer_settime");
    return 0;
}

int kvm_counter_arm(struct kvm_engine *kvm, uint64_t remaining, struct error *error)
{
    if (!kvm->counter.branches)
        return arm_timer(kvm, remaining, error);
    uint64_t period = remaining > BRANCH_SKID ? remaining - BRANCH_SKID : 1;
    if (ioctl(kvm->counter.fd, PERF_EVENT_IOC_PERIOD, &period) < 0)
        return error_errno(error, "PERF_EVENT_IOC_PERIOD");
    return 0;
}

int kvm_counter_watch(struct kvm_engine *kvm, struct error *error)
{
    const struct timespec often = {.tv_nsec = WATCH_INTERVAL};

    if (timer_settime(kvm->timer, 0, &(struct itimerspec){.it_value = often, .it_interval = often}, NULL) < 0)
        return error_errno(error, "timer_settime");
    return 0;
}

void kvm_counter_unwatch(struct kvm_engine *kvm)
{
    const struct itimerspec never = {0};
    timer_settime(kvm->timer, 0, &never, NULL);
}

void kvm_counter_disarm(struct kvm_engine *kvm)
{
    if (!kvm->counter.branches) {
        kvm_counter_unwatch(kvm);
    } else {
        uint64_t never = 1ULL << 40;
        ioctl(kvm->counter.fd, PERF_EVENT_IOC_PERIOD, &never);
    }
}
