/*
 * reset: one sector in real mode that resets its machine. Prints a line and waits for a letter on the first serial port:
 *
 *     c  the reset control register at CF9h          k  the keyboard controller's command FEh
 *     o  the keyboard controller's output port       f  port 92h
 *     a  the reset register that ACPI's FADT names   p  turns the machine off, by ACPI's control register
 *     q  ends through the debug-exit port with 0
 *
 * Before that it leaves marks where a reset must wipe them out, and exits with a number above 0 where it finds one:
 * 1 memory, 2 CMOS RAM, 3 the 8259's mask, 4 the reset control register. With 5 where ACPI's table is not found.
 */
    .code16
    .text
    .globl _start
    .equ mark, 0x9000
_start:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp

    mov $1, %bl
    cmpb $0, mark
    jne fail
    movb $1, mark
    mov $2, %bl
    mov $0x40, %al
    out %al, $0x70
    in $0x71, %al
    test %al, %al
    jnz fail
    inc %al
    out %al, $0x71
    mov $3, %bl
    in $0x21, %al
    cmp $0x5a, %al
    je fail
    mov $0x5a, %al
    out %al, $0x21
    mov $4, %bl
    mov $0xcf9, %dx
    in %dx, %al
    test %al, %al
    jnz fail
    mov $0x02, %al
    out %al, %dx

    mov $hello, %si
1:  lodsb
    test %al, %al
    jz receive
    call send
    jmp 1b

receive:
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x01, %al
    jz 1b
    mov $0x3f8, %dx
    in %dx, %al
    cmp $'c', %al
    je control
    cmp $'k', %al
    je keyboard
    cmp $'o', %al
    je output
    cmp $'f', %al
    je fast
    cmp $'a', %al
    je acpi
    cmp $'p', %al
    je off
    cmp $'q', %al
    jne receive
    xor %bx, %bx
fail:
    movzbl %bl, %eax
    mov $0xf4, %dx
    outl %eax, %dx
stop:
    hlt
    jmp stop

control:
    mov $0xcf9, %dx
    mov $0x06, %al
    out %al, %dx
    jmp late
keyboard:
    mov $0xfe, %al
    out %al, $0x64
    jmp late
output:
    mov $0xd1, %al
    out %al, $0x64
    mov $0xfe, %al
    out %al, $0x60
    jmp late
fast:
    mov $0x01, %al
    out %al, $0x92
    jmp late
acpi: /* tables begin on boundaries of 64 bytes, from E0000h on */
    mov $0xe000, %ax
    mov %ax, %ds
    mov $5, %bl
    xor %si, %si
1:  cmpl $0x50434146, (%si) /* "FACP" */
    je 2f
    add $64, %si
    jnz 1b
    jmp fail
2:  mov 120(%si), %dx
    mov 128(%si), %al
    out %al, %dx
    jmp late
off:
    mov $0x604, %dx
    mov $0x3400, %ax
    out %ax, %dx
late: /* no instruction is executed after the one that resets */
    mov $'!', %al
    call send
    jmp stop

send:
    mov %al, %ah
    mov $0x3fd, %dx
1:  in %dx, %al
    test $0x20, %al
    jz 1b
    mov %ah, %al
    mov $0x3f8, %dx
    out %al, %dx
    ret

hello:
    .asciz "boot\n"

    .org 510
    .byte 0x55, 0xaa

    .section .note.GNU-stack, "", @progbits
