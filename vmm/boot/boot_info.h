/*
 * The boot-info page: what a guest of the elf64 protocol is told about its machine.
 *
 * At entry RDI holds the guest-physical address of a struct boot_info. This header is the whole ABI: it needs nothing
 * but fixed-width integers, so that a guest without a C library includes it as it is. All numbers are little-endian.
 *
 * Compatibility: a guest checks `magic`, and that `version` is the one it knows. Fields are only ever added at the end;
 * then `size` grows and `version` stays. A change of meaning raises `version`.
 */
#ifndef ENCORE_VMM_BOOT_BOOT_INFO_H
#define ENCORE_VMM_BOOT_BOOT_INFO_H

#include <stddef.h>
#include <stdint.h>

#define BOOT_INFO_MAGIC   0x42434e45u /* "ENCB" in memory */
#define BOOT_INFO_VERSION 1

/* Where the elf64 protocol puts its own things. A guest's segments must keep out of [BOOT_LOW_START, BOOT_LOW_END);
 * once it has its own stack, tables and GDT, a guest may use it all. Page 0 is left free and zero. */
#define BOOT_LOW_START    0x01000u
#define BOOT_INFO_ADDRESS 0x01000u /* struct boot_info, one page */
#define BOOT_CMDLINE_PAGE 0x02000u /* the command line and its NUL, one page */
#define BOOT_GDT_ADDRESS  0x03000u /* null, code, data: one page */
#define BOOT_PML4_ADDRESS 0x04000u /* one page */
#define BOOT_PDPT_ADDRESS 0x05000u /* one page */
#define BOOT_PD_ADDRESS   0x06000u /* four pages, one for each GiB */
#define BOOT_STACK_BOTTOM 0x0a000u
#define BOOT_STACK_TOP    0x10000u /* RSP at entry; nothing is on the stack */
#define BOOT_LOW_END      0x10000u

/* The selectors loaded at entry: CS, and all of DS, ES, FS, GS and SS. */
#define BOOT_SELECTOR_CODE 0x08u
#define BOOT_SELECTOR_DATA 0x10u

/* What is identity-mapped at entry: the first 4 GiB, in pages of 2 MiB, writable, supervisor, executable. */
#define BOOT_MAPPED_END 0x100000000ull

/* The machine's ports that a small guest wants, repeated in the page for guests that would rather read than assume. */
#define BOOT_PORT_UART       0x3f8u
#define BOOT_PORT_DEBUG_EXIT 0xf4u
#define BOOT_PORT_ENTROPY    0xe08u

#define BOOT_INFO_RESERVED_MAX 8

/* Why a range is reserved. */
#define BOOT_RESERVED_INFO        1u /* the boot-info page itself */
#define BOOT_RESERVED_CMDLINE     2u
#define BOOT_RESERVED_GDT         3u
#define BOOT_RESERVED_PAGE_TABLES 4u
#define BOOT_RESERVED_STACK       5u
#define BOOT_RESERVED_IMAGE       6u /* from the lowest to the highest byte of the guest's own segments */
#define BOOT_RESERVED_FIRMWARE    7u /* the firmware's tables */

struct boot_info_range {
    uint64_t address; /* guest-physical */
    uint64_t length;  /* bytes */
    uint32_t kind;    /* BOOT_RESERVED_* */
    uint32_t zero;
};

struct boot_info {
    uint32_t magic;
    uint16_t version;
    uint16_t size;            /* sizeof(struct boot_info) as the monitor knows it */
    uint64_t ram_size;        /* bytes; memory is [0, ram_size) */
    uint64_t cmdline_address; /* guest-physical; followed by a NUL */
    uint32_t cmdline_length;  /* bytes, without the NUL */
    uint16_t uart_port;       /* a 16550 at IRQ 4 */
    uint16_t debug_exit_port; /* a 4-byte write ends the run with that status */
    uint16_t entropy_port;    /* a read of 1, 2 or 4 bytes gives random ones */
    uint16_t zero;
    uint32_t reserved_count;
    struct boot_info_range reserved[BOOT_INFO_RESERVED_MAX]; /* memory in use at entry, in order of address */
};

_Static_assert(sizeof(struct boot_info_range) == 24, "boot_info_range is 24 bytes");
_Static_assert(offsetof(struct boot_info, magic) == 0, "magic is at 0");
_Static_assert(offsetof(struct boot_info, version) == 4, "version is at 4");
_Static_assert(offsetof(struct boot_info, size) == 6, "size is at 6");
_Static_assert(offsetof(struct boot_info, ram_size) == 8, "ram_size is at 8");
_Static_assert(offsetof(struct boot_info, cmdline_address) == 16, "cmdline_address is at 16");
_Static_assert(offsetof(struct boot_info, cmdline_length) == 24, "cmdline_length is at 24");
_Static_assert(offsetof(struct boot_info, uart_port) == 28, "uart_port is at 28");
_Static_assert(offsetof(struct boot_info, debug_exit_port) == 30, "debug_exit_port is at 30");
_Static_assert(offsetof(struct boot_info, entropy_port) == 32, "entropy_port is at 32");
_Static_assert(offsetof(struct boot_info, reserved_count) == 36, "reserved_count is at 36");
_Static_assert(offsetof(struct boot_info, reserved) == 40, "reserved is at 40");
_Static_assert(sizeof(struct boot_info) == 40 + 24 * BOOT_INFO_RESERVED_MAX, "boot_info has no holes");

#endif
