/*
 * speed's Multiboot 1 header, its first instructions, and the way from 32-bit protected mode to 64-bit mode
 * (SDM volume 3, 9.8.5), with everything on that the kernels need: SSE, x87 errors by exception, SYSCALL.
 */
#include "guests/speed/speed.h"

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
    sub $12, %esp /* 16-byte alignment at the call, one argument (System V ABI for i386, 2.2.2) */
    push %ebx
    call speed_main

/* void speed_enter(const struct speed_setup *setup): never returns. */
    .globl speed_enter
speed_enter:
    mov 4(%esp), %ebx
    lgdt SETUP_GDTR(%ebx)
    lidt SETUP_IDTR(%ebx)
    mov $0x620, %eax /* CR4: PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov SETUP_CR3(%ebx), %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* EFER: SCE and LME */
    mov $0x101, %eax
    xor %edx, %edx
    wrmsr
    mov $0x80000033, %eax /* CR0: PG, NE, ET, MP, PE */
    mov %eax, %cr0
    ljmp $SELECTOR_CODE, $in_64bit_mode

    .code64
in_64bit_mode:
    mov $SELECTOR_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $SELECTOR_TSS, %eax
    ltr %ax
    mov $0xc0000081, %ecx /* STAR */
    xor %eax, %eax
    mov $(SELECTOR_USER_BASE << 16 | SELECTOR_CODE), %edx
    wrmsr
    mov $0xc0000082, %ecx /* LSTAR */
    mov $system_call, %eax
    xor %edx, %edx
    wrmsr
    mov $0xc0000084, %ecx /* FMASK: interrupts off */
    mov $0x200, %eax
    wrmsr
    mov $0xc0000102, %ecx /* kernel GS base */
    mov $kernel_data, %eax
    xor %edx, %edx
    wrmsr
    mov SETUP_COUNT(%ebx), %r15d
    mov SETUP_KERNEL(%ebx), %eax
    fninit
    test %r15, %r15
    jnz 1f
    jmp speed_done
1:  jmp *%rax

/* Where every kernel ends. */
    .globl speed_done
speed_done:
    xor %eax, %eax
    out %al, $0xf4
    cli
    hlt

    .section .data
    .balign 8
kernel_data: /* at GS while in the kernel: its stack, and the user's stack pointer */
    .long stack_top, 0, 0, 0

    .section .bss, "aw", @nobits
    .balign 4096
    .skip 8192
    .globl stack_top
stack_top:

    .section .note.GNU-stack, "", @progbits
