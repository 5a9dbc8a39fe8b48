/*
 * bootsec: one sector in real mode. Prints a line on the first serial port and exits through the debug-exit port; exits
 * with 1 where the boot drive in DL is not the first hard disk.
 */
    .code16
    .text
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    mov %dl, %bl
    mov $message, %si
1:  lodsb
    test %al, %al
    jz 3f
    mov %al, %ah
    mov $0x3fd, %dx /* line status: wait until the transmitter is empty */
2:  in %dx, %al
    test $0x20, %al
    jz 2b
    mov %ah, %al
    mov $0x3f8, %dx
    out %al, %dx
    jmp 1b
3:  xor %eax, %eax
    cmp $0x80, %bl
    je 4f
    inc %ax
4:  mov $0xf4, %dx
    outl %eax, %dx
5:  hlt
    jmp 5b

message:
    .asciz "bootsec: hello from real mode\n"

    .org 510
    .byte 0x55, 0xaa

    .section .note.GNU-stack, "", @progbits
