/* mbhello's Multiboot 1 header and first instructions: 32-bit protected mode, no paging, no stack. */
    .code32
    .section .text.entry, "ax"
    .globl _start
    .balign 4
    .set magic, 0x1badb002
    .set flags, 0x00000003 /* page-aligned modules, memory information */
    .long magic
    .long flags
    .long -(magic + flags)
_start:
    mov $stack_top, %esp
    xor %ebp, %ebp
    sub $8, %esp /* 16-byte alignment at the call, two arguments (System V ABI for i386, 2.2.2) */
    push %ebx
    push %eax
    call mbhello_main
1:  cli
    hlt
    jmp 1b

    .section .bss, "aw", @nobits
    .balign 16
    .skip 4096
stack_top:

    .section .note.GNU-stack, "", @progbits
