/*
 * Interrupt entry. Each of the 48 vectors (32 exceptions, 16 interrupt requests) has a stub of 16 bytes, so that its
 * address follows from its number. A stub makes all stacks alike: an error code (zero where the processor pushes none;
 * Intel SDM volume 3, table 6-1), then the vector. The common part saves the general registers, which completes a
 * struct frame, and calls interrupts_dispatch(frame). What that returns is the frame to resume: the same one, or
 * another task's.
 */
    .text
    .balign 16
    .globl interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept 48
    .balign 16
    /* Exceptions 8, 10 to 14, 17, 21, 29 and 30 come with an error code. */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    push $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

    .balign 16
    .globl interrupt_common
interrupt_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    cld
    /* The processor aligned the stack to 16 bytes before its 5 words; with 17 of ours, the call needs no more. */
    call interrupts_dispatch
    mov %rax, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp /* vector and error code */
    iretq

    .section .note.GNU-stack, "", @progbits
