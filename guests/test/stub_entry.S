/* The loader's Multiboot header, entry, and jump into 64-bit mode. */
    /* As in vmm/boot/boot_info.h; stub.c checks that they are. */
    .set BOOT_INFO_ADDRESS, 0x1000
    .set BOOT_GDT_ADDRESS, 0x3000
    .set BOOT_PML4_ADDRESS, 0x4000
    .set BOOT_STACK_TOP, 0x10000
    .set BOOT_SELECTOR_CODE, 0x08
    .set BOOT_SELECTOR_DATA, 0x10

    .code32
    .section .text.entry, "ax"
    .globl _start
    .balign 4
    .set magic, 0x1badb002
    .set flags, 0x00000003
    .long magic
    .long flags
    .long -(magic + flags)
_start:
    mov $stack_top, %esp
    sub $8, %esp
    push %ebx
    push %eax
    call stub_main

    .text
/* _Noreturn void stub_enter(uint32_t entry): paging and long mode as the elf64 protocol has them, then the guest. The
 * order of steps is the Intel SDM's, volume 3, 9.8.5. */
    .globl stub_enter
stub_enter:
    mov 4(%esp), %esi
    lgdt gdt_pointer
    mov $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $BOOT_PML4_ADDRESS, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx /* EFER */
    rdmsr
    or $0x100, %eax /* LME */
    wrmsr
    mov $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
    mov %eax, %cr0
    ljmp $BOOT_SELECTOR_CODE, $1f
    .code64
1:  mov $BOOT_SELECTOR_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov $BOOT_STACK_TOP, %esp
    mov $BOOT_INFO_ADDRESS, %edi
    mov %esi, %esi /* clears the upper half */
    jmp *%rsi

    .data
gdt_pointer:
    .short 23
    .long BOOT_GDT_ADDRESS

    .bss
    .balign 16
    .skip 4096
stack_top:

    .section .note.GNU-stack, "", @progbits
