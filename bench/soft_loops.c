/*
 * How fast the soft engine runs: guest loops of 64-bit code, in millions of guest instructions a second.
 * Build and run: make build/bench/soft_loops && build/bench/soft_loops
 */
#include <time.h>

#include "tests/soft/bench_pc.h"

/* A sieve-like mixture: arithmetic, compares, branches; nothing but registers. */
PC_ASM(loop_registers, "mov $0, %eax\n1: add $1, %eax\n xor %eax, %edx\n lea 3(%rdx,%rax,2), %rcx\n sub %eax, %ecx\n"
                       " and $0xffff, %ecx\n cmp %ecx, %edx\n je 2f\n inc %r8\n2: dec %r9\n jne 1b\n hlt")
/* Loads, stores, calls and returns. */
PC_ASM(loop_memory, "mov $0x20000, %ebx\n1: mov (%rbx), %rax\n add $7, %rax\n mov %rax, (%rbx)\n call 3f\n"
                    " add %rax, 8(%rbx)\n push %rax\n pop %rdx\n cmp $0, %rdx\n je 2f\n2: dec %r9\n jne 1b\n hlt\n"
                    "3: movzbl (%rbx), %ecx\n ret")
/* The shape of a sieve's inner loop. */
PC_ASM(loop_sieve, "3: mov $0x20000, %ebx\n mov $2, %ecx\n1: movb $1, (%rbx,%rcx)\n add $3, %rcx\n cmp $0x8000, %rcx\n"
                   " jb 1b\n sub $10923, %r9\n jns 3b\n hlt")
/* Two nested calls through an indirect pointer, across pages. */
PC_ASM(loop_indirect, "mov $0x11000, %esi\n1: call *%rsi\n dec %r9\n jne 1b\n hlt\n.fill "
                      "0x1000-(.-loop_indirect_start),1,0x90\n test %eax, %eax\n ret")

static void measure(const char *name, const char *start, const char *end)
{
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, start, (size_t)(end - start));
    pc->cpu.gprs[GPR_R9] = 30000000;
    pc_start(pc);
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    enum engine_stop stop = pc_run(pc, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    printf("%-10s %6.1f M instructions/s  (%.2f s, stop %d)\n", name, (double)pc_ticks(pc) / seconds * 1e-6, seconds,
           (int)stop);
    pc_free(pc);
}

int main(void)
{
    measure("registers", loop_registers_start, loop_registers_end);
    measure("memory", loop_memory_start, loop_memory_end);
    measure("sieve", loop_sieve_start, loop_sieve_end);
    measure("indirect", loop_indirect_start, loop_indirect_end);
    return 0;
}
