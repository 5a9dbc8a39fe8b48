/*
 * The kernels. Each is entered in 64-bit mode at CPL 0 with its count in R15, and ends at speed_done. None prints, none
 * takes interrupts; the tables are those of main.c.
 */
#include "guests/speed/speed.h"

    .text
    .code64

/* Registers alone: sums, shifts, a multiplication, compares, and two branches of which one depends on the data. */
    .globl kernel_integer
    .balign 64
kernel_integer:
    xor %ebx, %ebx
    mov $12345, %esi
1:  imul $1103515245, %esi, %eax
    add $12345, %eax
    mov %eax, %esi
    shr $16, %eax
    lea 3(%rax,%rbx,2), %ecx
    xor %eax, %ecx
    test $64, %eax
    jz 2f
    add %ecx, %ebx
    inc %rdi
2:  sub $7, %ebx
    cmp %ecx, %edi
    setb %dl
    dec %r15
    jnz 1b
    jmp speed_done

/* The primes below 65,536, a byte for each number. */
    .globl kernel_sieve
    .balign 64
kernel_sieve:
    mov $BUFFER_A, %ebx
1:  xor %eax, %eax
2:  movq $0, (%rbx,%rax)
    add $8, %eax
    cmp $65536, %eax
    jb 2b
    mov $2, %ecx
3:  cmpb $0, (%rbx,%rcx)
    jne 5f
    mov %ecx, %eax
    imul %eax, %eax
    cmp $65536, %eax
    jae 5f
4:  movb $1, (%rbx,%rax)
    add %ecx, %eax
    cmp $65536, %eax
    jb 4b
5:  inc %ecx
    cmp $256, %ecx
    jb 3b
    xor %edx, %edx
    mov $2, %eax
6:  cmpb $1, (%rbx,%rax)
    adc $0, %edx
    inc %eax
    cmp $65536, %eax
    jb 6b
    dec %r15
    jnz 1b
    jmp speed_done

/* An interpreter of bytecode: its program counter is R12, its accumulator RBX, its operand RDX, its memory
 * R13, the table of its operations R14. */
    .macro dispatch
    movzbl (%r12), %eax
    inc %r12
    jmp *(%r14,%rax,8)
    .endm

    .globl kernel_interpreter
    .balign 64
kernel_interpreter:
    mov $BUFFER_A, %r13d
    mov $handlers, %r14d
    mov $program, %r12d
    mov $1, %ebx
    dispatch
op_immediate:
    movzbl (%r12), %edx
    inc %r12
    dispatch
op_add:
    add %rdx, %rbx
    dispatch
op_mix:
    imul $25173, %ebx, %ebx
    add $13849, %ebx
    dispatch
op_store:
    movzbl (%r12), %ecx
    inc %r12
    mov %rbx, (%r13,%rcx,8)
    dispatch
op_load:
    movzbl (%r12), %ecx
    inc %r12
    mov (%r13,%rcx,8), %rdx
    dispatch
op_skip_if_even: /* over the next two bytes */
    test $0x100, %ebx
    jnz 1f
    add $2, %r12
1:  dispatch
op_call:
    call helper
    dispatch
op_again:
    mov $program, %r12d
    dec %r15
    jz speed_done
    dispatch
helper:
    push %rbx
    shr $3, %rdx
    xor %rdx, (%rsp)
    pop %rbx
    ret

    .section .rodata
    .balign 8
handlers:
    .long op_immediate, 0, op_add, 0, op_mix, 0, op_store, 0, op_load, 0, op_skip_if_even, 0, op_call, 0, op_again, 0
program:
    .byte 0, 17, 1, 2, 5, 3, 1, 4, 1, 6, 2, 5, 0, 99, 1, 3, 2, 4, 2, 2, 5, 4, 1, 6, 1, 2, 5, 3, 3, 0, 3, 1, 7
    .text

/* REP MOVSQ of 32 KiB, and the same by a loop. */
    .globl kernel_copy_rep
    .balign 64
kernel_copy_rep:
    cld
1:  mov $BUFFER_A, %esi
    mov $BUFFER_B, %edi
    mov $4096, %ecx
    rep movsq
    dec %r15
    jnz 1b
    jmp speed_done

    .globl kernel_copy_loop
    .balign 64
kernel_copy_loop:
1:  mov $BUFFER_A, %esi
    mov $BUFFER_B, %edi
    mov $4096, %ecx
2:  mov (%rsi), %rax
    mov %rax, (%rdi)
    add $8, %rsi
    add $8, %rdi
    dec %ecx
    jnz 2b
    dec %r15
    jnz 1b
    jmp speed_done

/* Vectors of 16 KiB: a += b * c in doubles, with a rotation of what is written, and a sum in integers. */
    .globl kernel_sse2
    .balign 64
kernel_sse2:
    mov $BUFFER_A, %esi
    mov $BUFFER_B, %edi
    mov $3, %eax
    cvtsi2sd %eax, %xmm4
    unpcklpd %xmm4, %xmm4
    xorps %xmm0, %xmm0
    pxor %xmm5, %xmm5
    xor %eax, %eax
2:  cvtsi2sd %eax, %xmm1
    movsd %xmm1, (%rsi,%rax)
    add $8, %eax
    cmp $16384, %eax
    jb 2b
1:  xor %eax, %eax
3:  movapd (%rsi,%rax), %xmm1
    movapd %xmm1, %xmm2
    mulpd %xmm4, %xmm1
    addpd %xmm1, %xmm0
    pshufd $0x4e, %xmm2, %xmm3
    paddd %xmm3, %xmm5
    subsd %xmm4, %xmm0
    movupd %xmm0, (%rdi,%rax)
    add $16, %eax
    cmp $16384, %eax
    jb 3b
    dec %r15
    jnz 1b
    jmp speed_done

/* A polynomial by Horner's rule in extended precision, a comparison and a store for each point. */
    .globl kernel_x87
    .balign 64
kernel_x87:
    mov $BUFFER_A, %esi
    movl $3, (%rsi)
    movl $7, 4(%rsi)
    fld1
    fldz
1:  fld %st(1)
    fmul %st(1), %st
    fiaddl (%rsi)
    fmul %st(1), %st
    fiaddl 4(%rsi)
    fdivr %st(2), %st
    fcomi %st(2), %st
    fstpl 8(%rsi)
    faddl 8(%rsi)
    fld %st(0)
    fxch %st(1)
    fstp %st(1)
    dec %r15
    jnz 1b
    jmp speed_done

/* The system call entry, as an operating system has it. */
    .globl system_call
    .balign 64
system_call:
    swapgs
    mov %rsp, %gs:8
    mov %gs:0, %rsp
    push %rcx
    push %r11
    cmp $CALL_EXIT, %rax
    ja 1f
    lea calls(%rip), %rcx
    call *(%rcx,%rax,8)
1:  pop %r11
    pop %rcx
    mov %gs:8, %rsp
    swapgs
    sysretq
call_nothing:
    mov $42, %eax
    ret
/* Empties the page table of the demand-paged region. */
call_unmap:
    mov $region_table, %ecx
    xor %eax, %eax
2:  movq $0, (%rcx,%rax,8)
    inc %eax
    cmp $REGION_PAGES, %eax
    jb 2b
    mov %cr3, %rax
    mov %rax, %cr3
    ret

    .section .rodata
    .balign 8
calls:
    .long call_nothing, 0, call_unmap, 0, speed_done, 0
    .text

/* Goes on at CPL 3 with RAX. */
to_user:
    pushq $SELECTOR_USER_DATA
    mov $user_stack_top, %ecx
    push %rcx
    pushq $2
    pushq $SELECTOR_USER_CODE
    push %rax
    iretq

user_exit:
    mov $CALL_EXIT, %eax
    syscall

/* From CPL 3 to CPL 0 and back by SYSCALL and SYSRET. */
    .globl kernel_syscalls
    .balign 64
kernel_syscalls:
    mov $1f, %eax
    jmp to_user
1:  mov $CALL_NOTHING, %eax
    syscall
    dec %r15
    jnz 1b
    jmp user_exit

/* Demand paging: each page of the region is touched at CPL 3 and mapped by the handler, then all are unmapped. */
    .globl kernel_faults
    .balign 64
kernel_faults:
    mov $1f, %eax
    jmp to_user
1:  mov $REGION, %ebx
    mov $REGION_PAGES, %ebp
2:  mov %ebp, (%rbx)
    add $4096, %ebx
    dec %ebp
    jnz 2b
    mov $CALL_UNMAP, %eax
    syscall
    dec %r15
    jnz 1b
    jmp user_exit

    .globl page_fault
    .balign 64
page_fault:
    push %rax
    push %rcx
    push %rdx
    mov $region_table, %edx
    mov %cr2, %rax
    shr $12, %rax
    and $(REGION_PAGES - 1), %eax
    mov %eax, %ecx
    shl $12, %ecx
    add $(FRAMES + 7), %ecx
    mov %rcx, (%rdx,%rax,8)
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

/* Code that is written and called at once, as by a compiler that runs beside its output: the writer lies in another
 * page, and three functions of the page written are left alone. */
    .globl kernel_smc
    .balign 64
kernel_smc:
    xor %ebx, %ebx
1:  mov %r15d, patched + 1(%rip)
    call patched
    add %eax, %ebx
    call patched_other
    call patched_third
    dec %r15
    jnz 1b
    jmp speed_done

    .section .data.patched, "aw"
    .balign 4096
patched:
    mov $0, %eax
    add $1, %eax
    ret
    .balign 64
patched_other:
    lea 1(%rbx), %ecx
    xor %ecx, %edx
    ret
    .balign 64
patched_third:
    add %ecx, %edx
    shr $1, %edx
    ret

    .section .bss, "aw", @nobits
    .balign 4096
    .skip 4096
user_stack_top:

    .section .note.GNU-stack, "", @progbits
