/*
 * Reading the vCPU's registers, without an ioctl where KVM has just put them down.
 *
 * With KVM_CAP_SYNC_REGS, KVM_RUN leaves the general and system registers and the pending events in kvm_run->s.regs
 * whenever it returns, if kvm_run->kvm_valid_regs asks for them (KVM API, KVM_RUN). That is asked for during a landing,
 * which looks at them after each of its many short runs; elsewhere it would only make each exit slower. What is there
 * holds until something else changes the vCPU: kvm->synced says so.
 */
#include "vmm/kvm/kvm_internal.h"

#include <sys/ioctl.h>

void kvm_sync(struct kvm_engine *kvm, bool wanted)
{
    kvm->run->kvm_valid_regs =
        wanted && kvm->can_sync ? KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS : 0;
    kvm->synced = false;
}

int kvm_read_regs(struct kvm_engine *kvm, struct kvm_regs *regs, struct error *error)
{
    if (kvm->synced)
        *regs = kvm->run->s.regs.regs;
    else if (ioctl(kvm->vcpu_fd, KVM_GET_REGS, regs) < 0)
        return error_errno(error, "KVM_GET_REGS");
    return 0;
}

int kvm_read_sregs(struct kvm_engine *kvm, struct kvm_sregs *sregs, struct error *error)
{
    if (kvm->synced)
        *sregs = kvm->run->s.regs.sregs;
    else if (ioctl(kvm->vcpu_fd, KVM_GET_SREGS, sregs) < 0)
        return error_errno(error, "KVM_GET_SREGS");
    return 0;
}

int kvm_read_events(struct kvm_engine *kvm, struct kvm_vcpu_events *events, struct error *error)
{
    if (kvm->synced)
        *events = kvm->run->s.regs.events;
    else if (ioctl(kvm->vcpu_fd, KVM_GET_VCPU_EVENTS, events) < 0)
        return error_errno(error, "KVM_GET_VCPU_EVENTS");
    return 0;
}
