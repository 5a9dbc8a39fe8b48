/*
 * Which way of going from one micro-operation to the next is fast: a measurement made before the soft engine was laid
 * out. Three interpreters of the same decoded loop: a function for each operation that tail-calls the next one's; a
 * function for each, called from a loop; and one switch in a loop. The operations do what the engine's do: registers in
 * memory, flags stored as results, an instruction budget charged once a block.
 *
 *     gcc -std=gnu17 -O2 bench/soft_dispatch.c -o /tmp/soft_dispatch && /tmp/soft_dispatch
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { ADD_IMM, XOR_REG, LEA, SUB_REG, AND_IMM, CMP_REG, LOOP, OPS };

struct uop;
struct cpu {
    uint64_t regs[17];
    uint64_t zero, sign, carry;
    int64_t left;
};

typedef void uop_fn(struct cpu *cpu, const struct uop *u);

struct uop {
    uop_fn *fn;
    uint64_t disp;
    int32_t imm;
    uint8_t dst, src, base, index, scale, op;
    uint16_t off;
};

static inline void set_flags(struct cpu *cpu, uint64_t result, uint64_t carry)
{
    cpu->zero = cpu->sign = result;
    cpu->carry = carry;
}

static inline void do_add_imm(struct cpu *cpu, const struct uop *u)
{
    uint64_t a = cpu->regs[u->dst], b = (uint64_t)(int64_t)u->imm, r = a + b;
    set_flags(cpu, r, (a & b) | ((a | b) & ~r));
    cpu->regs[u->dst] = r;
}

static inline void do_xor_reg(struct cpu *cpu, const struct uop *u)
{
    uint64_t r = cpu->regs[u->dst] ^ cpu->regs[u->src];
    set_flags(cpu, r, 0);
    cpu->regs[u->dst] = r;
}

static inline void do_lea(struct cpu *cpu, const struct uop *u)
{
    cpu->regs[u->dst] = cpu->regs[u->base] + (cpu->regs[u->index] << u->scale) + u->disp;
}

static inline void do_sub_reg(struct cpu *cpu, const struct uop *u)
{
    uint64_t a = cpu->regs[u->dst], b = cpu->regs[u->src], r = a - b;
    set_flags(cpu, r, (~a & b) | ((~a | b) & r));
    cpu->regs[u->dst] = r;
}

static inline void do_and_imm(struct cpu *cpu, const struct uop *u)
{
    uint64_t r = cpu->regs[u->dst] & (uint64_t)(int64_t)u->imm;
    set_flags(cpu, r, 0);
    cpu->regs[u->dst] = r;
}

static inline void do_cmp_reg(struct cpu *cpu, const struct uop *u)
{
    uint64_t a = cpu->regs[u->dst], b = cpu->regs[u->src], r = a - b;
    set_flags(cpu, r, (~a & b) | ((~a | b) & r));
}

/* Tail calls. */
#define TAIL(name)                                                                                                     \
    static void tail_##name(struct cpu *cpu, const struct uop *u)                                                      \
    {                                                                                                                  \
        do_##name(cpu, u);                                                                                             \
        return u[1].fn(cpu, u + 1);                                                                                    \
    }
TAIL(add_imm)
TAIL(xor_reg)
TAIL(lea)
TAIL(sub_reg)
TAIL(and_imm)
TAIL(cmp_reg)

static void tail_loop(struct cpu *cpu, const struct uop *u)
{
    if ((cpu->left -= OPS) < 0)
        return;
    return u[-(LOOP)].fn(cpu, u - LOOP);
}

/* Calls from a loop: a handler of the last micro-operation returns the first. */
#define CALL(name)                                                                                                     \
    static void call_##name(struct cpu *cpu, const struct uop *u)                                                      \
    {                                                                                                                  \
        do_##name(cpu, u);                                                                                             \
    }
CALL(add_imm)
CALL(xor_reg)
CALL(lea)
CALL(sub_reg)
CALL(and_imm)
CALL(cmp_reg)

static void run_calls(struct cpu *cpu, const struct uop *block)
{
    while ((cpu->left -= OPS) >= 0)
        for (const struct uop *u = block; u->op != LOOP; u++)
            u->fn(cpu, u);
}

static void run_switch(struct cpu *cpu, const struct uop *block)
{
    for (const struct uop *u = block;; u++) {
        switch (u->op) {
        case ADD_IMM:
            do_add_imm(cpu, u);
            break;
        case XOR_REG:
            do_xor_reg(cpu, u);
            break;
        case LEA:
            do_lea(cpu, u);
            break;
        case SUB_REG:
            do_sub_reg(cpu, u);
            break;
        case AND_IMM:
            do_and_imm(cpu, u);
            break;
        case CMP_REG:
            do_cmp_reg(cpu, u);
            break;
        default:
            if ((cpu->left -= OPS) < 0)
                return;
            u = block - 1;
            break;
        }
    }
}

static void run_tails(struct cpu *cpu, const struct uop *block)
{
    block->fn(cpu, block);
}

static void measure(const char *name, void (*run)(struct cpu *, const struct uop *), uop_fn *const *handlers)
{
    struct uop block[OPS] = {
        {.imm = 1, .dst = 0, .op = ADD_IMM},
        {.dst = 2, .src = 0, .op = XOR_REG},
        {.dst = 1, .base = 2, .index = 0, .scale = 1, .disp = 3, .op = LEA},
        {.dst = 1, .src = 0, .op = SUB_REG},
        {.imm = 0xffff, .dst = 1, .op = AND_IMM},
        {.dst = 2, .src = 1, .op = CMP_REG},
        {.op = LOOP},
    };
    const int64_t budget = 1000000000;
    struct cpu cpu = {.left = budget};
    struct timespec a, b;
    for (unsigned i = 0; i < OPS; i++)
        block[i].fn = handlers ? handlers[block[i].op] : 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    run(&cpu, block);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
    printf("%-12s %6.0f M instructions/s (rcx %llx)\n", name, (double)budget / seconds * 1e-6,
           (unsigned long long)cpu.regs[1]);
}

int main(void)
{
    static uop_fn *const tails[] = {tail_add_imm, tail_xor_reg, tail_lea, tail_sub_reg,
                                    tail_and_imm, tail_cmp_reg, tail_loop};
    static uop_fn *const calls[] = {call_add_imm, call_xor_reg, call_lea, call_sub_reg, call_and_imm, call_cmp_reg, 0};
    for (unsigned i = 0; i < 2; i++) {
        measure("tail calls", run_tails, tails);
        measure("calls", run_calls, calls);
        measure("switch", run_switch, 0);
    }
    return 0;
}
