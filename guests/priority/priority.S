/*
 * priority: one sector that goes to 64-bit mode, where there is a CR8, and sets the processor's task priority. Then it
 * reads a clock device for a while, so that there are exits for checkpoints, and ends through the debug-exit port with 0
 * if CR8 still holds what it put there, or else with what it found, and 100h added.
 */
    .code16
    .text
    .globl _start
    .equ rounds, 20000
    .equ priority, 5
    .equ tables, 0x1000 /* PML4, page-directory pointers, page directory */
_start:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp

    mov $tables, %di
    mov $0x3000 / 4, %cx
    xor %eax, %eax
    rep stosl
    movl $tables + 0x1003, tables
    movl $tables + 0x2003, tables + 0x1000
    movl $0x83, tables + 0x2000 /* the first 2 MiB */

    mov $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $tables, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx
    mov $0x100, %eax /* EFER.LME */
    xor %edx, %edx
    wrmsr
    lgdtl gdt_pointer
    mov $0x80000001, %eax
    mov %eax, %cr0
    ljmp $8, $long

    .code64
long:
    mov $priority + 1, %eax
    mov %rax, %cr8
    mov $priority, %eax /* a lower one may let interrupts through, and leaves the guest on some processors */
    mov %rax, %cr8
    mov $rounds, %ecx
1:  in $0x71, %al
    loop 1b
    mov %cr8, %rax
    cmp $priority, %eax
    mov $0, %edx
    cmove %edx, %eax
    je 2f
    add $0x100, %eax
2:  mov $0xf4, %dx
    out %eax, %dx
3:  hlt
    jmp 3b

    .balign 8
gdt:
    .quad 0, 0x00209b0000000000
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .org 510
    .byte 0x55, 0xaa

    .section .note.GNU-stack, "", @progbits
