/*
 * The soft engine against the processor that this test runs on: short pieces of register-only code with random
 * registers and flags, executed by both. Flags that the architecture leaves undefined are masked, by instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "tests/soft/bench_pc.h"

#define CF  0x1u
#define PF  0x4u
#define AF  0x10u
#define ZF  0x40u
#define SF  0x80u
#define OF  0x800u
#define ALL (CF | PF | AF | ZF | SF | OF)

struct piece {
    const char *text, *start, *end;
    unsigned undefined; /* flags */
};

#define PIECES(X)                                                                                                      \
    X(add64, "add %rbx, %rax", 0)                                                                                      \
    X(add32, "add %ebx, %eax", 0)                                                                                      \
    X(add16, "add %bx, %ax", 0)                                                                                        \
    X(add8, "add %bl, %ah", 0)                                                                                         \
    X(adc64, "adc %rbx, %rax", 0)                                                                                      \
    X(adc32, "adc %ebx, %eax", 0)                                                                                      \
    X(adc16, "adc %bx, %ax", 0)                                                                                        \
    X(adc8, "adc %bh, %al", 0)                                                                                         \
    X(sub64, "sub %rbx, %rax", 0)                                                                                      \
    X(sub32, "sub $0x12345678, %eax", 0)                                                                               \
    X(sub16, "sub $-7, %ax", 0)                                                                                        \
    X(sub8, "sub %ch, %dl", 0)                                                                                         \
    X(sbb64, "sbb %rbx, %rax", 0)                                                                                      \
    X(sbb32, "sbb %ebx, %eax", 0)                                                                                      \
    X(sbb16, "sbb %bx, %ax", 0)                                                                                        \
    X(sbb8, "sbb %bl, %al", 0)                                                                                         \
    X(cmp64, "cmp %rbx, %rax", 0)                                                                                      \
    X(cmp8, "cmp %bl, %al", 0)                                                                                         \
    X(and64, "and %rbx, %rax", AF)                                                                                     \
    X(or32, "or %ebx, %eax", AF)                                                                                       \
    X(xor16, "xor %bx, %ax", AF)                                                                                       \
    X(test8, "test %bl, %ah", AF)                                                                                      \
    X(inc64, "inc %rax", 0)                                                                                            \
    X(inc8, "inc %al", 0)                                                                                              \
    X(dec32, "dec %eax", 0)                                                                                            \
    X(dec16, "dec %ax", 0)                                                                                             \
    X(neg64, "neg %rax", 0)                                                                                            \
    X(neg8, "neg %al", 0)                                                                                              \
    X(not32, "not %eax", 0)                                                                                            \
    X(shl64, "shl %cl, %rax", AF | OF)                                                                                 \
    X(shl32, "shl %cl, %eax", AF | OF)                                                                                 \
    X(shl16, "shl %cl, %ax", AF | OF | CF)                                                                             \
    X(shl8, "shl %cl, %al", AF | OF | CF)                                                                              \
    X(shl1, "shl %eax", AF)                                                                                            \
    X(shr64, "shr %cl, %rax", AF | OF)                                                                                 \
    X(shr32, "shr $5, %eax", AF | OF)                                                                                  \
    X(shr16, "shr %cl, %ax", AF | OF | CF)                                                                             \
    X(shr1, "shr %rax", AF)                                                                                            \
    X(sar64, "sar %cl, %rax", AF | OF)                                                                                 \
    X(sar8, "sar %cl, %al", AF | OF)                                                                                   \
    X(sar1, "sar %eax", AF)                                                                                            \
    X(rol64, "rol %cl, %rax", OF)                                                                                      \
    X(rol16, "rol %cl, %ax", OF)                                                                                       \
    X(rol1, "rol %al", 0)                                                                                              \
    X(ror32, "ror %cl, %eax", OF)                                                                                      \
    X(ror8, "ror %cl, %al", OF)                                                                                        \
    X(ror1, "ror %rax", 0)                                                                                             \
    X(rcl64, "rcl %cl, %rax", OF)                                                                                      \
    X(rcl8, "rcl %cl, %al", OF)                                                                                        \
    X(rcl1, "rcl %ax", 0)                                                                                              \
    X(rcr32, "rcr %cl, %eax", OF)                                                                                      \
    X(rcr16, "rcr %cl, %ax", OF)                                                                                       \
    X(rcr1, "rcr %rax", 0)                                                                                             \
    X(shld64, "shld %cl, %rbx, %rax", AF | OF)                                                                         \
    X(shld32, "shld $7, %ebx, %eax", AF | OF)                                                                          \
    X(shld16, "shld $3, %bx, %ax", AF | OF)                                                                            \
    X(shld1, "shld $1, %ebx, %eax", AF)                                                                                \
    X(shrd64, "shrd %cl, %rbx, %rax", AF | OF)                                                                         \
    X(shrd16, "shrd $9, %bx, %ax", AF | OF)                                                                            \
    X(shrd1, "shrd $1, %rbx, %rax", AF)                                                                                \
    X(mul64, "mul %rbx", SF | ZF | AF | PF)                                                                            \
    X(mul32, "mul %ebx", SF | ZF | AF | PF)                                                                            \
    X(mul16, "mul %bx", SF | ZF | AF | PF)                                                                             \
    X(mul8, "mul %bl", SF | ZF | AF | PF)                                                                              \
    X(imul64, "imul %rbx", SF | ZF | AF | PF)                                                                          \
    X(imul32, "imul %ebx", SF | ZF | AF | PF)                                                                          \
    X(imul8, "imul %bl", SF | ZF | AF | PF)                                                                            \
    X(imul2_64, "imul %rbx, %rax", SF | ZF | AF | PF)                                                                  \
    X(imul2_16, "imul %bx, %ax", SF | ZF | AF | PF)                                                                    \
    X(imul3_32, "imul $-77777, %ebx, %eax", SF | ZF | AF | PF)                                                         \
    X(div64, "or $1, %rbx\n xor %edx, %edx\n div %rbx", ALL)                                                           \
    X(div32, "or $1, %ebx\n xor %edx, %edx\n div %ebx", ALL)                                                           \
    X(div8, "or $0x81, %bl\n and $0x7fff, %ax\n shr $1, %ah\n and $0x3f, %ah\n div %bl", ALL)                          \
    X(idiv64, "or $1, %rbx\n shr $1, %rax\n cqo\n idiv %rbx", ALL)                                                     \
    X(idiv16, "or $5, %bx\n shr $1, %ax\n neg %ax\n cwd\n idiv %bx", ALL)                                              \
    X(wide_div, "mov $7, %edx\n or $8, %rbx\n bts $62, %rbx\n div %rbx", ALL)                                          \
    X(cbw, "cbw", 0)                                                                                                   \
    X(cwde, "cwde", 0)                                                                                                 \
    X(cdqe, "cdqe", 0)                                                                                                 \
    X(cdq, "cdq", 0)                                                                                                   \
    X(bt, "bt %rbx, %rax", OF | SF | AF | PF)                                                                          \
    X(bts, "bts %ebx, %eax", OF | SF | AF | PF)                                                                        \
    X(btr, "btr $13, %ax", OF | SF | AF | PF)                                                                          \
    X(btc, "btc %rbx, %rax", OF | SF | AF | PF)                                                                        \
    X(bsf, "bsf %rbx, %rax", OF | SF | AF | PF | CF)                                                                   \
    X(bsr, "bsr %ebx, %eax", OF | SF | AF | PF | CF)                                                                   \
    X(popcnt, "popcnt %rbx, %rax", 0)                                                                                  \
    X(bswap, "bswap %rax\n bswap %ebx", 0)                                                                             \
    X(cmpxchg, "cmpxchg %rbx, %rcx", 0)                                                                                \
    X(cmpxchg8, "mov %al, %dl\n cmpxchg %bl, %dl", 0)                                                                  \
    X(xadd, "xadd %rbx, %rax", 0)                                                                                      \
    X(xadd8, "xadd %bl, %ah", 0)                                                                                       \
    X(xchg, "xchg %ebx, %eax\n xchg %cl, %ch", 0)                                                                      \
    X(movzx, "movzbl %bh, %eax\n movzwq %cx, %rdx", 0)                                                                 \
    X(movsx, "movsbw %bl, %ax\n movswl %cx, %edx\n movslq %ebx, %rsi", 0)                                              \
    X(lea, "lea 0x1234(%rbx,%rcx,4), %rax\n lea -1(%edx,%esi,8), %edi\n lea 7(%rbx), %r8w", 0)                         \
    X(setcc, "seto %al\n setb %ah\n sete %bl\n setbe %bh\n sets %cl\n setp %ch\n setl %dl\n setle %dh", 0)             \
    X(cmov, "cmovo %rbx, %rax\n cmovae %ecx, %edx\n cmovg %rsi, %rdi\n cmovnp %r8w, %r9w", 0)                          \
    X(lahf, "lahf", 0)                                                                                                 \
    X(sahf, "sahf", 0)                                                                                                 \
    X(flags, "cmc\n adc %rax, %rbx\n stc\n rcl %rcx\n clc", 0)                                                         \
    X(jumps, "jl 1f\n inc %rax\n1: ja 2f\n add $3, %rbx\n2: jo 3f\n dec %rcx\n3: jp 4f\n not %rdx\n4:", 0)             \
    X(loop, "mov $5, %ecx\n1: add %rcx, %rax\n loop 1b\n jrcxz 2f\n inc %rbx\n2:", 0)                                  \
    X(sse,                                                                                                             \
      "movq %rax, %xmm0\n movq %rbx, %xmm1\n paddw %xmm1, %xmm0\n pmulhw %xmm0, %xmm1\n punpcklbw %xmm1, %xmm0\n"      \
      " pshufd $0x1b, %xmm0, %xmm0\n movq %xmm0, %rcx\n psrldq $5, %xmm0\n movq %xmm0, %rdx\n pmovmskb %xmm1, %esi",   \
      0)                                                                                                               \
    X(sse_float,                                                                                                       \
      "cvtsi2sd %rax, %xmm0\n cvtsi2sd %rbx, %xmm1\n divsd %xmm1, %xmm0\n sqrtsd %xmm0, %xmm2\n"                       \
      " movq %xmm0, %rcx\n movq %xmm2, %rdx\n cvtsd2ss %xmm0, %xmm3\n movd %xmm3, %esi\n cvttsd2si %xmm1, %rdi\n"      \
      " ucomisd %xmm1, %xmm0",                                                                                         \
      0)                                                                                                               \
    X(sse_bits,                                                                                                        \
      "movq %rax, %xmm0\n movq %rbx, %xmm1\n addps %xmm1, %xmm0\n mulpd %xmm0, %xmm1\n cmpltps %xmm0, %xmm1\n"         \
      " movq %xmm0, %rcx\n movq %xmm1, %rdx\n maxss %xmm1, %xmm0\n movmskps %xmm0, %esi",                              \
      0)                                                                                                               \
    X(mmx,                                                                                                             \
      "movq %rax, %mm0\n movq %rbx, %mm1\n paddsb %mm1, %mm0\n pmaddwd %mm0, %mm1\n psllq $3, %mm0\n"                  \
      " movq %mm0, %rcx\n movq %mm1, %rdx\n emms",                                                                     \
      0)                                                                                                               \
    X(x87,                                                                                                             \
      "push %rax\n push %rbx\n fildll (%rsp)\n fldl 8(%rsp)\n fadd %st(1), %st\n fsqrt\n fxch\n fpatan\n"              \
      " fstpl (%rsp)\n fnstsw %ax\n pop %rbx\n pop %rcx\n fninit",                                                     \
      0)                                                                                                               \
    X(x87_compare,                                                                                                     \
      "push %rax\n push %rbx\n fldl (%rsp)\n fildll 8(%rsp)\n fucomip %st(1), %st\n fstp %st(0)\n"                     \
      " pop %rbx\n pop %rcx\n fninit",                                                                                 \
      0)                                                                                                               \
    X(stack, "push %rax\n push %bx\n pop %cx\n pop %rdx\n pushf\n pop %rsi\n and $0x8d5, %esi\n push $-3\n pop %rdi",  \
      AF)

#define DECLARE(name, text, undefined) PC_ASM(piece_##name, text)
#define ENTRY(name, text, undefined)   {text, piece_##name##_start, piece_##name##_end, undefined},
PIECES(DECLARE)
static const struct piece pieces[] = {PIECES(ENTRY)};

/* RAX RCX RDX RBX - - RSI RDI R8 R9, and flags at [16] */
static void run_native(const uint8_t *code, uint64_t *regs)
{
    __asm__ volatile(
        "pushq %%rbx\n\tpushq %%rbp\n\tsubq $256, %%rsp\n\t"
        "movq %0, %%rbp\n\tpushq %1\n\t"
        "movq (%%rbp), %%rax\n\tmovq 8(%%rbp), %%rcx\n\tmovq 16(%%rbp), %%rdx\n\tmovq 24(%%rbp), %%rbx\n\t"
        "movq 48(%%rbp), %%rsi\n\tmovq 56(%%rbp), %%rdi\n\tmovq 64(%%rbp), %%r8\n\tmovq 72(%%rbp), %%r9\n\t"
        "pushq 128(%%rbp)\n\tpopfq\n\tcall *(%%rsp)\n\t"
        "pushfq\n\tpopq 128(%%rbp)\n\tmovq %%rax, (%%rbp)\n\tmovq %%rcx, 8(%%rbp)\n\tmovq %%rdx, 16(%%rbp)\n\t"
        "movq %%rbx, 24(%%rbp)\n\tmovq %%rsi, 48(%%rbp)\n\tmovq %%rdi, 56(%%rbp)\n\t"
        "movq %%r8, 64(%%rbp)\n\tmovq %%r9, 72(%%rbp)\n\taddq $264, %%rsp\n\tpopq %%rbp\n\tpopq %%rbx\n\tcld"
        :
        : "r"(regs), "r"(code)
        : "memory", "cc", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "xmm0", "xmm1", "xmm2", "xmm3");
}

static uint64_t seed = 88172645463325252u;

static uint64_t random64(void)
{
    static const uint64_t special[] = {0,
                                       1,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x7fff,
                                       0x8000,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       INT64_MAX,
                                       (uint64_t)INT64_MIN,
                                       UINT64_MAX,
                                       0x7ff0000000000001,
                                       0x3ff0000000000000};
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % 4 == 0 ? special[(seed >> 8) % (sizeof special / sizeof *special)] : seed;
}

static void compare_piece(struct pc *pc, const struct piece *piece, uint8_t *native)
{
    size_t length = (size_t)(piece->end - piece->start);
    memcpy(native, piece->start, length);
    native[length] = 0xc3;
    pc_code(pc, PC_CODE, native, length);
    pc_code(pc, PC_CODE + length, "\xf4", 1);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t regs[17];
        pc_long_mode(pc, 0);
        pc->cpu.mxcsr = 0x1f80;
        for (unsigned i = 0; i < 16; i++)
            regs[i] = random64();
        regs[16] = (random64() & ALL) | 0x202;
        memcpy(pc->cpu.gprs, regs, 128);
        pc->cpu.gprs[GPR_RSP] = PC_STACK;
        pc->cpu.rflags = regs[16] & ~UINT64_C(0x200);
        pc_start(pc);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        if (pc->cpu.rip != PC_CODE + length + 1)
            fail_msg("%s: ended at %llx, CR2 %llx", piece->text, (unsigned long long)pc->cpu.rip,
                     (unsigned long long)pc->cpu.cr2);
        run_native(native, regs);
        static const uint8_t used[] = {0, 1, 2, 3, 6, 7, 8, 9};
        for (unsigned i = 0; i < sizeof used; i++)
            if (pc->cpu.gprs[used[i]] != regs[used[i]])
                fail_msg("%s: register %u is %llx, not %llx", piece->text, used[i],
                         (unsigned long long)pc->cpu.gprs[used[i]], (unsigned long long)regs[used[i]]);
        if ((pc->cpu.rflags ^ regs[16]) & ALL & ~piece->undefined)
            fail_msg("%s: flags are %llx, not %llx", piece->text, (unsigned long long)pc->cpu.rflags,
                     (unsigned long long)regs[16]);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    uint8_t *native = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(native, MAP_FAILED);
    for (unsigned i = 0; i < sizeof pieces / sizeof *pieces; i++)
        compare_piece(pc, &pieces[i], native);
    munmap(native, 4096);
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
