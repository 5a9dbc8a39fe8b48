/*
 * Whether to poll for an acknowledgement rather than to sleep until it comes.
 *
 * A thread that sleeps is woken some 10 to 50 us after its time, and a virtual processor that has nothing else to do is
 * slowest to wake. While output is held back for its acknowledgement, and the guest has halted and needs no processor,
 * that is worth avoiding; KVM's halt polling (Linux, Documentation/virt/kvm/halt-polling.rst) is the same idea. It is
 * given up as long as acknowledgements take longer than ACK_POLL_MAX, so that a distant backup costs no processor time.
 */
#ifndef ENCORE_REPLICATION_ACK_POLL_H
#define ENCORE_REPLICATION_ACK_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define ACK_POLL_MAX UINT64_C(300000) /* ns */

struct ack_poll {
    bool waits;
    uint64_t offset; /* of the stream: what is waited for */
    uint64_t since;  /* ns, host clock */
    uint64_t took;   /* the last one, ns; at first 0 */
};

/* Output was handed over that may leave when the stream is committed up to `offset`, which it is up to `committed`.
 * `now`: host clock, ns. */
void ack_poll_begin(struct ack_poll *poll, uint64_t offset, uint64_t committed, bool guest_halted, uint64_t now);
/* The stream is committed up to `committed`. */
void ack_poll_commit(struct ack_poll *poll, uint64_t committed, uint64_t now);
/* The host time until which it is worth polling; 0: it is not. */
uint64_t ack_poll_until(const struct ack_poll *poll);

#endif
