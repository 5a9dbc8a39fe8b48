/*
 * The system calls between the user guest's two halves. RAX is the number, RDI and RSI the arguments, RAX the result.
 *
 * The instruction that calls is UD2, whose invalid-opcode exception the kernel takes for a call when it comes from a
 * program. SYSCALL and INT would be the natural choices; but on a KVM that emulates kernel code and runs programs
 * natively (kvm-pvm on Linux 6.18), SYSCALL was seen to arrive at LSTAR still at CPL 3, and INT n from CPL 3 to be an
 * invalid opcode itself. Exceptions are delivered rightly everywhere.
 */
#ifndef GUEST_USER_SYSCALL_H
#define GUEST_USER_SYSCALL_H

#define SYSCALL_INSTRUCTION "ud2"

#define SYSCALL_WRITE 1 /* (address, length) of the task's own memory; the length written, or -1 */
#define SYSCALL_EXIT  2 /* (status); does not return */
#define SYSCALL_YIELD 3 /* lets the next task run */
#define SYSCALL_TIME  4 /* timer ticks since the start; interrupts that wait come first, and may switch tasks */

#endif
