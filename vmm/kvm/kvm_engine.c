/* Opening KVM, guest memory, the dirty log, and the way out. See kvm_engine.h. */
#include "vmm/kvm/kvm_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kvm/kvm_internal.h"

#define RAM_SLOT 0

/* CPUID features that are hidden, because the guest could learn something through them that no log holds, or because
 * the machine's state does not cover them (SDM vol. 2, CPUID). Some hosts ignore this: on the
 * build machines, DESIGN's table of facts has it, the CPUID instruction gives the guest the host's own leaves. */
#define LEAF1_ECX_HIDDEN                                                                                               \
    (1u << 3 /* MONITOR */ | 1u << 21 /* x2APIC */ | 1u << 24 /* TSC deadline */ | 1u << 26 /* XSAVE */ |              \
     1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ | 1u << 29 /* F16C */ | 1u << 12 /* FMA */ | 1u << 30 /* RDRAND */)
#define LEAF7_EBX_HIDDEN (1u << 18 /* RDSEED */ | 1u << 5 /* AVX2 */ | 0xf8230000u /* AVX-512 and its kin */)
#define CPUID_ENTRIES    256

int kvm_slot_set(struct kvm_engine *kvm, uint32_t slot, uint64_t address, void *bytes, uint64_t size, bool log_dirty,
                 struct error *error)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .flags = log_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = address,
        .memory_size = size,
        .userspace_addr = (uintptr_t)bytes,
    };

    if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return error_errno(error, "KVM_SET_USER_MEMORY_REGION");
    return 0;
}

static int kvm_map_ram(struct engine *engine, struct ram *ram, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);

    kvm->dirty_log = calloc(ram->dirty_words, sizeof *kvm->dirty_log);
    if (!kvm->dirty_log)
        return error_set(error, ERROR_HOST, "out of memory for the dirty page bitmap");
    kvm->ram = ram;
    return kvm_slot_set(kvm, RAM_SLOT, 0, ram->bytes, ram->size, true, error);
}

static int kvm_collect_dirty(struct engine *engine, struct error *error)
{
    struct kvm_engine *kvm = kvm_of(engine);
    struct kvm_dirty_log log = {.slot = RAM_SLOT, .dirty_bitmap = kvm->dirty_log};

    if (ioctl(kvm->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0)
        return error_errno(error, "KVM_GET_DIRTY_LOG");
    for (size_t i = 0; i < kvm->ram->dirty_words; i++)
        kvm->ram->dirty[i] |= kvm->dirty_log[i];
    return 0;
}

static int kvm_get_ticks(struct engine *engine, uint64_t *ticks, struct error *error)
{
    return kvm_counter_read(&kvm_of(engine)->counter, ticks, error);
}

static void kvm_destroy(struct engine *engine)
{
    struct kvm_engine *kvm = kvm_of(engine);

    if (kvm->has_timer)
        timer_delete(kvm->timer);
    kvm_counter_close(&kvm->counter);
    if (kvm->run)
        munmap(kvm->run, kvm->run_size);
    if (kvm->vcpu_fd >= 0)
        close(kvm->vcpu_fd);
    if (kvm->vm_fd >= 0)
        close(kvm->vm_fd);
    if (kvm->kvm_fd >= 0)
        close(kvm->kvm_fd);
    free(kvm->dirty_log);
    free(kvm);
}

static const struct engine_ops kvm_ops = {
    .name = "kvm",
    .map_ram = kvm_map_ram,
    .run = kvm_run_until,
    .name_position = kvm_name_position,
    .get_cpu = kvm_get_cpu,
    .set_cpu = kvm_set_cpu,
    .collect_dirty = kvm_collect_dirty,
    .get_ticks = kvm_get_ticks,
    .kick = kvm_kick,
    .destroy = kvm_destroy,
};

static int open_kvm(struct kvm_engine *kvm, struct error *error)
{
    kvm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm->kvm_fd < 0 && errno == ENOENT)
        return error_set(error, ERROR_HOST,
                         "there is no /dev/kvm: load the kvm module, or enable (nested) virtualisation for this "
                         "machine");
    if (kvm->kvm_fd < 0 && (errno == EACCES || errno == EPERM))
        return error_set(error, ERROR_HOST,
                         "no permission to open /dev/kvm: add yourself to its group (sudo usermod -aG kvm $USER) and "
                         "log in again");
    if (kvm->kvm_fd < 0)
        return error_errno(error, "/dev/kvm");
    if (ioctl(kvm->kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return error_set(error, ERROR_HOST, "/dev/kvm speaks another version of the KVM API than 12");
    static const int needed[] = {KVM_CAP_USER_MEMORY, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_VCPU_EVENTS,
                                 KVM_CAP_DEBUGREGS,   KVM_CAP_XSAVE,          KVM_CAP_SET_GUEST_DEBUG};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, needed[i]) <= 0)
            return error_set(error, ERROR_HOST, "this KVM lacks capability %d, which encore needs", needed[i]);
    }
    const int synced = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
    kvm->can_sync = (ioctl(kvm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & synced) == synced;
    return 0;
}

static int set_cpuid(struct kvm_engine *kvm, struct error *error)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + CPUID_ENTRIES * sizeof cpuid->entries[0]);
    int result = -1;

    if (!cpuid)
        return error_set(error, ERROR_HOST, "out of memory");
    cpuid->nent = CPUID_ENTRIES;
    if (ioctl(kvm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
        error_errno(error, "KVM_GET_SUPPORTED_CPUID");
    } else {
        for (uint32_t i = 0; i < cpuid->nent; i++) {
            struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
            if (entry->function == 1)
                entry->ecx &= ~LEAF1_ECX_HIDDEN;
            if (entry->function == 7 && entry->index == 0)
                entry->ebx &= ~LEAF7_EBX_HIDDEN;
        }
        result = ioctl(kvm->vcpu_fd, KVM_SET_CPUID2, cpuid);
        if (result < 0)
            error_errno(error, "KVM_SET_CPUID2");
    }
    free(cpuid);
    return result;
}

/* The kick signal is let in during KVM_RUN only. */
static int set_signals(struct kvm_engine *kvm, struct error *error)
{
    struct {
        struct kvm_signal_mask header;
        uint8_t mask[8];
    } __attribute__((packed)) inside = {.header.len = 8};
    sigset_t kick, before;

    sigemptyset(&kick);
    sigaddset(&kick, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &kick, &before);
    /* One that was meant for an engine that this thread had before would be taken for a kick of this one. */
    const struct timespec at_once = {0};
    while (sigtimedwait(&kick, NULL, &at_once) == KVM_KICK_SIGNAL)
        ;
    sigdelset(&before, KVM_KICK_SIGNAL);
    /* The kernel's own mask is 64 bits, signal n at bit n - 1. */
    for (int signal = 1; signal <= 64; signal++) {
        if (sigismember(&before, signal) == 1)
            inside.mask[(signal - 1) / 8] |= (uint8_t)(1u << (signal - 1) % 8);
    }
    if (ioctl(kvm->vcpu_fd, KVM_SET_SIGNAL_MASK, &inside) < 0)
        return error_errno(error, "KVM_SET_SIGNAL_MASK");
    return 0;
}

static int create_vcpu(struct kvm_engine *kvm, struct error *error)
{
    kvm->vm_fd = ioctl(kvm->kvm_fd, KVM_CREATE_VM, 0);
    if (kvm->vm_fd < 0)
        return error_errno(error, "KVM_CREATE_VM");
    /* Intel hosts without unrestricted guests need three pages for themselves (KVM API, KVM_SET_TSS_ADDR). */
    ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);
    kvm->vcpu_fd = ioctl(kvm->vm_fd, KVM_CREATE_VCPU, 0);
    if (kvm->vcpu_fd < 0)
        return error_errno(error, "KVM_CREATE_VCPU");
    int size = ioctl(kvm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof *kvm->run)
        return error_set(error, ERROR_HOST, "KVM_GET_VCPU_MMAP_SIZE gives %d bytes", size);
    kvm->run_size = (size_t)size;
    void *run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm->vcpu_fd, 0);
    if (run == MAP_FAILED)
        return error_errno(error, "mapping the vCPU");
    kvm->run = run;
    return 0;
}

/* The handler does nothing: that the signal interrupts KVM_RUN is all. */
static void on_kick(int signal)
{
    (void)signal;
}

static int create_timer(struct kvm_engine *kvm, struct error *error)
{
    struct sigaction action = {.sa_handler = on_kick};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KVM_KICK_SIGNAL};

    event._sigev_un._tid = kvm->thread_id;
    sigemptyset(&action.sa_mask);
    if (sigaction(KVM_KICK_SIGNAL, &action, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &event, &kvm->timer) < 0)
        return error_errno(error, "a timer for the vCPU");
    kvm->has_timer = true;
    return 0;
}

static void choose_capabilities(struct kvm_engine *kvm, const struct kvm_engine_options *options)
{
    struct engine_caps *caps = &kvm->engine.caps;
    const struct kvm_probe_result *probe = &kvm->probe;

    caps->ticks = (probe->counter_emulation || probe->counter_branches) && probe->single_step && probe->breakpoint &&
                  !options->no_ticks;
    caps->landmarks = probe->breakpoint && probe->single_step && probe->dirty_log && !options->no_landmarks;
    caps->careful = options->careful;
    caps->tick_unit = !caps->ticks ? "none" : kvm->counter.branches ? KVM_TICK_BRANCHES : KVM_TICK_EMULATION;
    if (!caps->ticks)
        kvm_counter_close(&kvm->counter);
}

struct engine *kvm_engine_create(const struct kvm_engine_options *options, struct error *error)
{
    struct kvm_engine *kvm = calloc(1, sizeof *kvm);

    if (!kvm) {
        error_set(error, ERROR_HOST, "out of memory");
        return NULL;
    }
    kvm->engine.ops = &kvm_ops;
    kvm->kvm_fd = kvm->vm_fd = kvm->vcpu_fd = kvm->counter.fd = -1;
    kvm->thread = pthread_self();
    kvm->thread_id = (pid_t)syscall(SYS_gettid);
    if (open_kvm(kvm, error) < 0 || create_vcpu(kvm, error) < 0 || set_signals(kvm, error) < 0 ||
        create_timer(kvm, error) < 0 || set_cpuid(kvm, error) < 0 || kvm_probe(kvm, error) < 0) {
        kvm_destroy(&kvm->engine);
        return NULL;
    }
    choose_capabilities(kvm, options);
    return &kvm->engine;
}

const struct kvm_probe_result *kvm_engine_probe_result(const struct engine *engine)
{
    return &((const struct kvm_engine *)engine)->probe;
}
