/*
 * One instruction past a breakpoint.
 *
 * Where RFLAGS.RF is not honoured, a breakpoint on the instruction about to run would hit at once, for ever (SDM vol.
 * 3, 17.3.1.1): it takes a single step to leave it. But a single step is TF in the guest's own flags, and KVM was
 * measured to leak it: when the step raises an exception, the frame that delivery pushes has TF set, and no stop comes.
 * The guest would trap in its handler's IRET, in the replay alone. So breakpoints on the entries of the handlers that
 * an instruction may fault into go with the step, and at such a hit TF is taken out of the frame. While an interrupt
 * waits to be delivered there is no stepping at all (see kvm_land.c).
 */
#include "vmm/kvm/kvm_internal.h"

#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"

/* #PF, #GP, #DE and #UD: as many as there are breakpoints. SDM vol. 3, table 6-1. */
static const struct {
    uint8_t vector;
    bool error_code;
} watched[KVM_BREAKPOINTS] = {{14, true}, {13, true}, {0, false}, {6, false}};

/* The guest's memory behind a linear address, through its page tables; NULL where nothing is mapped, or the bytes cross
 * into another page. */
static uint8_t *linear_pointer(struct kvm_engine *kvm, uint64_t linear, uint64_t length)
{
    struct kvm_translation translation = {.linear_address = linear};

    if (linear % RAM_PAGE_SIZE + length > RAM_PAGE_SIZE || ioctl(kvm->vcpu_fd, KVM_TRANSLATE, &translation) < 0 ||
        !translation.valid)
        return NULL;
    return ram_pointer(kvm->ram, translation.physical_address, length);
}

/* The address that a gate of the interrupt descriptor table leads to; SDM vol. 3, 6.11 and 6.14.1. */
static bool gate_target(struct kvm_engine *kvm, const struct kvm_sregs *sregs, uint8_t vector, uint64_t *target)
{
    bool wide = sregs->efer & EFER_LMA;
    unsigned size = wide ? 16 : 8;

    if (!(sregs->cr0 & CR0_PE) || (uint64_t)vector * size + size - 1 > sregs->idt.limit)
        return false;
    const uint8_t *gate = linear_pointer(kvm, sregs->idt.base + (uint64_t)vector * size, size);
    if (!gate || !(gate[5] & 0x80))
        return false;
    *target = bytes_load(gate, 2) | bytes_load(gate + 6, 2) << 16 | (wide ? bytes_load(gate + 8, 4) << 32 : 0);
    return true;
}

/* Four walks through the page tables: done once for a landing, whose few steps do not outlive the guest's table. */
static void find_handlers(struct kvm_engine *kvm, const struct kvm_sregs *sregs)
{
    struct kvm_handlers *handlers = &kvm->handlers;

    if (handlers->known)
        return;
    for (unsigned i = 0; i < KVM_BREAKPOINTS; i++)
        handlers->there[i] = gate_target(kvm, sregs, watched[i].vector, &handlers->targets[i]);
    handlers->known = true;
}

static int watch_handlers(struct kvm_engine *kvm, struct error *error)
{
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP,
                                    .arch.debugreg[7] = KVM_DR7_FIXED};

    for (unsigned i = 0; i < KVM_BREAKPOINTS; i++) {
        if (!kvm->handlers.there[i])
            continue;
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[i] = kvm->handlers.targets[i];
        debug.arch.debugreg[7] |= 1u << 2 * i;
    }
    return kvm_debug(kvm, &debug, error);
}

/* The stack has just got RIP, CS and RFLAGS, under an error code for some vectors. */
static void clean_frame(struct kvm_engine *kvm, const struct kvm_sregs *sregs, uint64_t stack, bool error_code)
{
    unsigned width = sregs->efer & EFER_LMA ? 8 : 4;
    uint64_t at = stack + (error_code ? width : 0) + 2 * width;
    uint8_t *flags = linear_pointer(kvm, at, width);

    if (flags)
        bytes_store(flags, width, bytes_load(flags, width) & ~(uint64_t)RFLAGS_TF);
}

bool kvm_at_iret(struct kvm_engine *kvm, uint64_t rip)
{
    const uint8_t *code = linear_pointer(kvm, rip, 2);

    /* At a page's end the bytes are not looked at, and the answer is the careful one. */
    return !code || code[0] == 0xcf || ((code[0] & 0xf0) == 0x40 && code[1] == 0xcf);
}

enum kvm_event kvm_step(struct kvm_engine *kvm, struct error *error)
{
    const struct kvm_handlers *handlers = &kvm->handlers;
    struct kvm_sregs sregs;
    struct kvm_regs before, after;

    if (kvm_read_sregs(kvm, &sregs, error) < 0 || kvm_read_regs(kvm, &before, error) < 0)
        return KVM_EVENT_ERROR;
    find_handlers(kvm, &sregs);
    if (watch_handlers(kvm, error) < 0)
        return KVM_EVENT_ERROR;
    enum kvm_event event = kvm_advance(kvm, error);
    if (event != KVM_EVENT_DEBUG || before.rflags & RFLAGS_TF)
        return event;
    if (kvm_read_regs(kvm, &after, error) < 0)
        return KVM_EVENT_ERROR;
    for (unsigned i = 0; i < KVM_BREAKPOINTS; i++) {
        if (handlers->there[i] && after.rip == handlers->targets[i] && after.rsp < before.rsp)
            clean_frame(kvm, &sregs, after.rsp, watched[i].error_code);
    }
    return event;
}
