/*
 * The ACPI power management registers, as the FADT describes them: ACPI specification 6.5, 4.8.3.
 *
 * Event block (status, enable), control block, timer, and a block of eight general purpose events (4.8.4). The machine
 * is in ACPI mode from the start (SMI_CMD is 0 in the FADT, so SCI_EN reads 1). The system control interrupt is up
 * while an event is pending and enabled. Writing SLP_EN with the sleep type of S5 turns the machine off; other sleep
 * types do nothing.
 *
 * The timer counts guest time at 3.579545 MHz in 32 bits. Its top bit's changes are an event.
 */
#ifndef ENCORE_VMM_DEVICES_ACPI_PM_H
#define ENCORE_VMM_DEVICES_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/bus.h"
#include "vmm/state.h"
#include "vmm/wires.h"

#define ACPI_PM_EVENT_PORT    0x600
#define ACPI_PM_EVENT_PORTS   4
#define ACPI_PM_CONTROL_PORT  0x604
#define ACPI_PM_CONTROL_PORTS 2
#define ACPI_PM_TIMER_PORT    0x608
#define ACPI_PM_TIMER_PORTS   4
#define ACPI_PM_GENERAL_PORT  0x60c
#define ACPI_PM_GENERAL_PORTS 2 /* status, enable */
#define ACPI_PM_SCI           9
/* The general purpose events that there are, by their bits. */
#define ACPI_PM_GENERATION_EVENT 5 /* the machine has a new generation (vmgenid.h) */
#define ACPI_PM_GENERAL_EVENTS   (1u << ACPI_PM_GENERATION_EVENT)
/* What _S5 says. */
#define ACPI_PM_SLEEP_OFF 5

struct acpi_pm_wire {
    void (*turned_off)(void *context);
    void *context;
};

struct acpi_pm {
    uint16_t status;
    uint16_t enable;
    uint16_t control;
    uint8_t general_status;
    uint8_t general_enable;
    uint64_t seen; /* guest time up to which the timer's changes have been noticed */
    struct irq_wire sci;
    struct acpi_pm_wire wire;
};

void acpi_pm_init(struct acpi_pm *pm, struct irq_wire sci, struct acpi_pm_wire wire);
void acpi_pm_state(struct acpi_pm *pm, struct state *state);

/* Somebody presses the power button. */
void acpi_pm_press_power_button(struct acpi_pm *pm);

/* A general purpose event happens. */
void acpi_pm_raise_event(struct acpi_pm *pm, unsigned event);

/* When the timer's top bit next changes, if that is to interrupt; else NO_DEADLINE. */
uint64_t acpi_pm_deadline(const struct acpi_pm *pm);
void acpi_pm_advance(struct acpi_pm *pm, uint64_t now);

/* Handlers; `device` is a struct acpi_pm. Those of the timer and of events observe time. */
bus_read_fn acpi_pm_event_read;
bus_write_fn acpi_pm_event_write;
bus_read_fn acpi_pm_general_read;
bus_write_fn acpi_pm_general_write;
bus_read_fn acpi_pm_control_read;
bus_write_fn acpi_pm_control_write;
bus_read_fn acpi_pm_timer_read;

#endif
