/* What speed's C, its entry and its kernels agree upon. */
#ifndef ENCORE_GUESTS_SPEED_H
#define ENCORE_GUESTS_SPEED_H

#define SELECTOR_CODE      0x08
#define SELECTOR_DATA      0x10
#define SELECTOR_USER_BASE 0x18 /* SYSRET takes SS from the next and CS from the one after it */
#define SELECTOR_USER_DATA 0x23
#define SELECTOR_USER_CODE 0x2b
#define SELECTOR_TSS       0x30

/* struct speed_setup, by offsets */
#define SETUP_GDTR   0
#define SETUP_IDTR   8
#define SETUP_CR3    16
#define SETUP_KERNEL 20
#define SETUP_COUNT  24

/* The demand-paged region: one page table, at first empty, of frames from 16 MiB on. */
#define REGION       0x40000000
#define REGION_PAGES 512
#define FRAMES       0x1000000

/* Scratch memory for the kernels, identity-mapped; not so far from each other that one puts the other out of a TLB. */
#define BUFFER_A 0x800000
#define BUFFER_B 0x848000

/* System calls, by RAX. */
#define CALL_NOTHING 0
#define CALL_UNMAP   1
#define CALL_EXIT    2

#endif
