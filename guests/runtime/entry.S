/*
 * The first instructions of every elf64 guest. The boot protocol gives: 64-bit mode, CPL 0, interrupts off, identity
 * paging, RDI at the boot-info page. We move to a stack of our own, since the boot loader's is small and in memory that
 * a guest may want.
 */
    .section .text.entry, "ax"
    .globl _start
_start:
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    call runtime_start
1:  cli
    hlt
    jmp 1b

    .section .bss.stack, "aw", @nobits
    .balign 4096
    /* The page below the stack; a guest may unmap it, so that an overflow faults. */
    .globl boot_stack_guard
boot_stack_guard:
    .skip 4096
    .skip 16384
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
