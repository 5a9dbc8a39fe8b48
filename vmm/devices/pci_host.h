/*
 * The PCI bus: host bridge, configuration mechanism 1, and who answers where.
 *
 * One bus, up to 32 devices of one function each. Configuration accesses come through ports CF8h and CFCh (PCI Local
 * Bus Specification 3.0, 3.2.2.3.2). Memory and port accesses in the windows below go to the function whose enabled BAR
 * covers them, the lowest device number first.
 *
 * Device 0 is the bridge, with the identity of an Intel 440FX (8086:1237) that firmware for PCs knows. Of its registers
 * only those for the shadow memory below 1 MiB (PAM, 59h-5Fh) are kept, and mean nothing here: that memory is RAM, and
 * they say so. Its subsystem is QEMU's (1af4:1100), by which SeaBIOS finds out that it may ask fw_cfg.
 *
 * Interrupt pins: INTA of device d drives the PC's interrupt line 10 or 11, as the 440FX's companion routes them after
 * reset by a PC's firmware: devices 1, 2, 5, 6, ... line 10 and 3, 4, 7, 8, ... line 11 (and 0). A line is up while any
 * of its devices asks for it.
 */
#ifndef ENCORE_VMM_DEVICES_PCI_HOST_H
#define ENCORE_VMM_DEVICES_PCI_HOST_H

#include "vmm/devices/pci_function.h"

#define PCI_HOST_PORT  0xcf8
#define PCI_HOST_PORTS 8

#define PCI_DEVICES 32

/* Where BARs may be. RAM ends below the first (MACHINE_RAM_MAX). */
#define PCI_MEMORY_BASE 0xc0000000u
#define PCI_MEMORY_END  0xfec00000u
#define PCI_PORTS_BASE  0x1000u
#define PCI_PORTS_END   0x10000u

struct pci_host {
    uint32_t address; /* CONFIG_ADDRESS */
    struct pci_function bridge;
    struct pci_function *devices[PCI_DEVICES]; /* wiring; [0] is the bridge */
    uint32_t pins;                             /* bit d: device d asks for its pin */
    struct irq_wire lines;                     /* wiring: `line` is filled in with 10 or 11 */
};

/* A bus with nothing but the bridge. `lines` takes interrupt line numbers of the PC. */
void pci_host_init(struct pci_host *host, struct irq_wire lines);

/* The pin and the PC's interrupt line of the device with this number, for pci_function_init. */
struct irq_wire pci_host_pin(struct pci_host *host, unsigned device);
uint8_t pci_host_line(unsigned device);

/* Puts a function in place; it stays the caller's. */
void pci_host_add(struct pci_host *host, unsigned device, struct pci_function *function);

/* Places the BARs of all functions one after the other and lets them decode, as firmware would have done before an
 * operating system starts. */
void pci_host_place_bars(struct pci_host *host);

/* Of the bus and the bridge; functions save themselves. */
void pci_host_state(struct pci_host *host, struct state *state);

/* Handlers: the two configuration ports; the memory window; the port window. `device` is a struct pci_host. */
bus_read_fn pci_host_config_read;
bus_write_fn pci_host_config_write;
bus_read_fn pci_host_memory_read;
bus_write_fn pci_host_memory_write;
bus_read_fn pci_host_ports_read;
bus_write_fn pci_host_ports_write;

#endif
