/*
 * poll: one sector that takes bytes from a virtio console (device 4 on the PCI bus) without ever being told of them: it
 * gives the console one byte of room, looks for a long time whether something came, and only then makes an exit. How
 * long it looked goes into memory. Ends after some bytes, through the debug-exit port with 0.
 */
    .code16
    .text
    .globl _start
    .equ bytes, 20
    .equ patience, 4000000
    .equ descriptors, 0x5000
    .equ available, 0x5100
    .equ used, 0x5200
    .equ buffer, 0x5300
    .equ looked, 0x5400
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp

    /* A data segment of 4 GiB, which stays after protected mode. */
    lgdtl gdt_pointer
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $8, %bx
    mov %bx, %ds
    and $0xfe, %al
    mov %eax, %cr0
    xor %ax, %ax
    mov %ax, %ds

    mov $0x80002010, %eax /* BAR 0 */
    mov $0xcf8, %dx
    out %eax, %dx
    mov $0xcfc, %dx
    in %dx, %eax
    and $0xfffffff0, %eax
    mov %eax, %ebx

    movb $3, 0x14(%ebx) /* the common registers: virtio 1.2, 4.1.4.3 */
    movl $1, 0x08(%ebx)
    movl $1, 0x0c(%ebx) /* VIRTIO_F_VERSION_1 */
    movb $11, 0x14(%ebx)
    movw $0, 0x16(%ebx)
    movw $1, 0x18(%ebx)
    movl $descriptors, 0x20(%ebx)
    movl $available, 0x28(%ebx)
    movl $used, 0x30(%ebx)
    movw $1, 0x1c(%ebx)
    movb $15, 0x14(%ebx)
    movl $buffer, descriptors
    movl $0, descriptors + 4
    movl $1, descriptors + 8
    movl $2, descriptors + 12 /* for the device to write */
    movl $0, available
    movw $0, available + 4
    movw $0, used + 2
    movl $0, looked

    mov $1, %bp
round:
    mov %bp, available + 2
    mov $patience, %ecx
1:  cmp %bp, used + 2
    je 2f
    dec %ecx
    jnz 1b
2:  add %ecx, looked
    cmp %bp, used + 2
    jne 3f
    inc %bp
3:  mov $0x3fd, %dx
    in %dx, %al
    cmp $bytes, %bp
    jb round
    xor %eax, %eax
    mov $0xf4, %dx
    out %eax, %dx
4:  hlt
    jmp 4b

    .balign 8
gdt:
    .quad 0, 0x00cf92000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt

    .org 510
    .byte 0x55, 0xaa

    .section .note.GNU-stack, "", @progbits
