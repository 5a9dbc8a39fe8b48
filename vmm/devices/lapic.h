/*
 * The processor's local APIC (xAPIC): SDM volume 3, chapter 10.
 *
 * There is one processor, with APIC ID 0; its registers are at FEE00000h and stay there. What arrives as a message
 * (from the I/O APIC, as an MSI, or as an interprocessor interrupt to itself) becomes a bit of the interrupt request
 * register, and reaches the processor when its priority class is above that of the task and of what is in service.
 *
 * LINT0 is where the 8259 pair is: while its entry of the local vector table is unmasked in ExtINT mode, their
 * interrupt goes straight to the processor. That is the state after reset, as a PC's firmware leaves it ("virtual
 * wire"), and holds even while the APIC is disabled by software, so that a guest that knows no APIC gets its
 * interrupts.
 *
 * NMI, SMI, INIT, start-up and ExtINT messages are taken and do nothing: there is nobody to receive them. Of the
 * errors, illegal vectors sent and received are found.
 */
#ifndef ENCORE_VMM_DEVICES_LAPIC_H
#define ENCORE_VMM_DEVICES_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/devices/lapic_timer.h"
#include "vmm/state.h"

#define LAPIC_BASE 0xfee00000u
#define LAPIC_SIZE 0x1000u

/* The registers that depend on the time: the initial count to the divide configuration. */
#define LAPIC_TIMED_START 0x380u
#define LAPIC_TIMED_END   0x3f0u

/* The model specific registers: IA32_APIC_BASE with the APIC enabled on the bootstrap processor, and the deadline. */
#define LAPIC_MSR_BASE     0x1bu
#define LAPIC_MSR_DEADLINE 0x6e0u
#define LAPIC_MSR_TPR      0x808u /* for the processor's CR8 only: a guest cannot name it */
#define LAPIC_BASE_VALUE   (LAPIC_BASE | 0x900u)

/* Entries of the local vector table. */
enum lapic_lvt { LAPIC_TIMER, LAPIC_THERMAL, LAPIC_COUNTER, LAPIC_LINT0, LAPIC_LINT1, LAPIC_ERROR, LAPIC_LVTS };

struct lapic {
    uint8_t id;
    uint8_t tpr;
    uint8_t ldr;      /* the logical destination: bits 31-24 of LDR */
    bool cluster;     /* DFR: the cluster model rather than the flat one */
    uint16_t svr;     /* spurious vector, APIC enabled (bit 8), focus (bit 9) */
    uint8_t esr;      /* as the guest reads it */
    uint8_t errors;   /* found since ESR was last written */
    uint32_t icr_low; /* of the interrupt command register, as last written */
    uint8_t icr_destination;
    uint32_t lvt[LAPIC_LVTS];
    uint32_t irr[8], isr[8], tmr[8]; /* vector v: bit v % 32 of word v / 32 */
    struct lapic_timer timer;
    /* Wiring: a level-triggered interrupt has been dealt with; may be NULL. */
    void (*end_of_interrupt)(void *context, uint8_t vector);
    void *context;
};

void lapic_init(struct lapic *lapic, void (*end_of_interrupt)(void *context, uint8_t vector), void *context);
void lapic_state(struct lapic *lapic, struct state *state);

/* A message: address and data as of an MSI, SDM volume 3, 10.11 (an I/O APIC's message is put in the same form). */
void lapic_message(struct lapic *lapic, uint64_t address, uint32_t data);

/* Whether the processor is to be interrupted, not counting the 8259 pair. */
bool lapic_output(const struct lapic *lapic);
/* Whether the 8259 pair's interrupt is let through. */
bool lapic_passes_pic(const struct lapic *lapic);
/* The processor takes the interrupt: its vector, which is then in service. Without one, the spurious vector. */
uint8_t lapic_acknowledge(struct lapic *lapic);

uint64_t lapic_deadline(const struct lapic *lapic);
void lapic_advance(struct lapic *lapic, uint64_t now);

/* The deadline MSR, as guest time. */
uint64_t lapic_read_deadline(const struct lapic *lapic);
void lapic_write_deadline(struct lapic *lapic, uint64_t when);

/* Handlers for the page of registers; `device` is a struct lapic. Of the accesses, those from LAPIC_TIMED_START to
 * LAPIC_TIMED_END observe time. */
bus_read_fn lapic_read;
bus_write_fn lapic_write;
bus_read_fn lapic_read_timed;
bus_write_fn lapic_write_timed;

#endif
