/*
 * What wakes the vCPU: one thread that waits for host events and kicks the engine when there is one.
 *
 * The vCPU's thread either executes the guest or waits in kicker_wait. The kicker's thread waits on a set of file
 * descriptors (epoll): an alarm, watched input descriptors, and that of signals (vmm/host/signals.h). What has happened
 * is kept as a set of bits, which the vCPU's thread reads cheaply at every exit and takes when it is at a boundary.
 *
 * A watched descriptor reports once; kicker_rearm has it report again. So a source that nobody reads cannot make the
 * thread spin.
 */
#ifndef ENCORE_VMM_HOST_KICKER_H
#define ENCORE_VMM_HOST_KICKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define KICKER_ALARM    (1u << 0)         /* the alarm's time has come */
#define KICKER_SIGNAL   (1u << 1)         /* the user wants the end */
#define KICKER_WATCH(n) (1u << (8 + (n))) /* descriptor n, 0 <= n < KICKER_WATCHES, is readable or closed */
#define KICKER_WATCHES  8

struct kicker;

/* Starts the thread. `kick` is called from it, after the bits are set, for each event; but not when the vCPU's thread
 * is in kicker_wait, which returns instead. `signals` is the descriptor of signals_fd, each write to which is an event;
 * -1: it is somebody else's. All functions below are for the calling thread. NULL with the error on failure. */
struct kicker *kicker_start(void (*kick)(void *context), void *context, int signals, struct error *error);

/* Stops the thread and frees everything. NULL is allowed. */
void kicker_stop(struct kicker *kicker);

/* Watches a descriptor as number n. A descriptor that epoll cannot watch (a regular file: always readable) gives
 * KICKER_ALWAYS instead of 0. -1 with the error on failure. */
#define KICKER_ALWAYS 1
int kicker_watch(struct kicker *kicker, unsigned n, int fd, struct error *error);
/* A report that was under way may still come after this. */
void kicker_unwatch(struct kicker *kicker, unsigned n);
/* Reports descriptor n again when it is, or becomes, readable. */
void kicker_rearm(struct kicker *kicker, unsigned n);

/* Sets the one alarm for a time on CLOCK_MONOTONIC, in ns; UINT64_MAX takes it back. It is told once for each
 * setting. Cheap when the alarm is set to this time already and was not told yet. An alarm that was told stays among
 * the events until it is taken, also when it is set anew. */
void kicker_alarm(struct kicker *kicker, uint64_t when);

/* The events that have happened and were not taken: a relaxed atomic load. */
uint32_t kicker_events(const struct kicker *kicker);

/* Takes all events. */
uint32_t kicker_take(struct kicker *kicker);

/* Blocks until there is at least one event. */
void kicker_wait(struct kicker *kicker);

#endif
