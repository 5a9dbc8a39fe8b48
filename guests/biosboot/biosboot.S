/*
 * biosboot: the image of a disk whose boot sector lives by a PC's BIOS. Prints through INT 10h; reads through INT 13h, by
 * cylinder, head and sector, and by block number; writes a sector and reads it again; asks for the size of memory. Exits
 * through the debug-exit port with 0, or with the number of the step that failed.
 */
    .code16
    .text
    .globl _start
    .equ sector, 0x8000 /* what is expected */
    .equ again, 0x8200  /* what was read */
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    sti
    cld
    mov %dl, drive
    mov $hello, %si
    call print

    incb step /* 1: cylinder 0, head 0, sector 2 */
    mov $0x0201, %ax
    mov $sector, %bx
    mov $0x0002, %cx
    mov $0x00, %dh
    call disk
    mov $sector, %si
    call print

    incb step /* 2: the same as block 1 */
    movb $1, packet_block
    call read_again

    incb step /* 3: block 2 becomes the opposite */
    mov $sector, %di
    mov $256, %cx
1:  notw (%di)
    add $2, %di
    loop 1b
    movb $2, packet_block
    movw $sector, packet_offset
    mov $0x4300, %ax
    mov $packet, %si
    call disk
    call read_again

    incb step /* 4: conventional memory, and memory from 1 MiB on, in KiB */
    int $0x12
    cmp $512, %ax
    jb end
    mov $0x88, %ah
    int $0x15
    jc end
    cmp $1024, %ax
    jb end
    mov $done, %si
    call print
    movb $0, step
    mov $3, %cx /* SeaBIOS sends a line's last character when its clock ticks */
1:  hlt
    loop 1b
end:
    movzbl step, %eax
    mov $0xf4, %dx
    outl %eax, %dx
1:  hlt
    jmp 1b

/* INT 13h on the drive that this came from. */
disk:
    mov drive, %dl
    int $0x13
    jc end
    ret

/* Reads the packet's block, and compares it with what is expected. */
read_again:
    movw $again, packet_offset
    mov $0x42, %ah
    mov $packet, %si
    call disk
    mov $sector, %si
    mov $again, %di
    mov $256, %cx
    repe cmpsw
    jne end
    ret

print:
    lodsb
    test %al, %al
    jz 1f
    mov $0x0e, %ah
    mov $0x0007, %bx
    int $0x10
    jmp print
1:  ret

drive: .byte 0
step:  .byte 0
packet: /* of INT 13h, functions 42h and 43h */
    .byte 16, 0
    .word 1
packet_offset:
    .word 0, 0
packet_block:
    .quad 0
hello:
    .asciz "biosboot: hello through INT 10h\r\n"
done:
    .asciz "biosboot: all is well\r\n"

    .org 510
    .word 0xaa55
    .asciz "biosboot: this is the second sector\r\n"
    /* A BIOS wants a cylinder of 1008 sectors at least. */
    .org 0x100000
