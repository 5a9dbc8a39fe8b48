/*
 * The soft engine's boundaries: ticks, interrupts, exceptions, exits, REP, self-modifying code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "tests/soft/bench_pc.h"

static struct position at_tick(uint64_t exits, uint64_t ticks, uint64_t rip)
{
    return (struct position){.kind = AT_TICK, .exits = exits, .ticks = ticks, .rip = rip};
}

/* Many kinds of instruction; ends in HLT. */
PC_ASM(mixture,
       "mov $0x20000, %ebx\n mov $20, %ecx\n xor %eax, %eax\n"
       "1: add %rcx, %rax\n mov %rax, (%rbx,%rcx,8)\n push %rax\n call 2f\n pop %rdx\n imul $7, %rdx, %rdx\n"
       " xor %rdx, 0x100(%rbx)\n test $1, %cl\n jz 3f\n shl $3, %rdx\n3: dec %ecx\n jnz 1b\n"
       " mov $37, %ecx\n mov $0x20000, %esi\n mov $0x20800, %edi\n rep movsb\n"
       " mov $0xfff9, %eax\n mov $5, %ecx\n mov $0x20ffd, %edi\n rep stosl\n"
       " movq %rax, %xmm0\n paddd %xmm0, %xmm0\n movups %xmm0, 0x20ff9\n fld1\n fldpi\n fmulp\n fstpl 0x20100\n"
       " mov $100, %ecx\n mov $0x20000, %edi\n mov $0x5a, %al\n repne scasb\n xor %ecx, %ecx\n rep lodsb\n"
       " out %al, $0x80\n in $0x80, %al\n hlt\n"
       "2: bt $3, %eax\n adc $0, %edx\n ret")

/* Every tick of a run, reached straight and by single steps, finds the same processor and the same memory. */
static void test_ticks_are_exact(void **state)
{
    (void)state;
    struct pc *whole = pc_new(), *stepped = pc_new();
    pc_long_mode(stepped, 0);
    PC_LOAD(stepped, PC_CODE, mixture);
    pc_start(stepped);
    uint64_t last = 0;
    for (uint64_t tick = 1;; tick++) {
        struct position next = at_tick(0, tick, 0);
        enum engine_stop stop = pc_run(stepped, &next);
        if (stop == ENGINE_STOP_HALT || stepped->exit_count)
            break;
        assert_int_equal(stop, ENGINE_STOP_MISSED);
        assert_int_equal(pc_ticks(stepped), tick);
        memset(whole->ram.bytes, 0, PC_RAM);
        pc_long_mode(whole, 0);
        PC_LOAD(whole, PC_CODE, mixture);
        pc_start(whole);
        next.rip = stepped->cpu.rip;
        assert_int_equal(pc_run(whole, &next), ENGINE_STOP_POSITION);
        assert_true(digest_equal(cpu_state_digest(&whole->cpu), cpu_state_digest(&stepped->cpu)));
        assert_memory_equal(whole->ram.bytes, stepped->ram.bytes, PC_RAM);
        last = tick;
    }
    assert_true(last > 400);
    pc_free(whole);
    pc_free(stepped);
}

/* An interrupt raised at any tick is taken there, and the run's result is the same as without it. */
PC_ASM(interrupt_stub, "push %rax\n incq 0x22000\n pop %rax\n iretq")
static void test_interrupt_at_every_tick(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    PC_LOAD(pc, PC_CODE, mixture);
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    uint64_t rdx = pc->cpu.gprs[GPR_RDX];
    for (uint64_t tick = 0; tick < 1000; tick++) {
        memset(pc->ram.bytes, 0, PC_RAM);
        pc_long_mode(pc, 0);
        PC_LOAD(pc, PC_CODE, mixture);
        PC_LOAD(pc, 0x18000, interrupt_stub);
        pc_gate(pc, 0x40, 0x18000, 14, 0, 0);
        pc->cpu.rflags |= RFLAGS_IF;
        pc->vector = 0x40;
        pc->lower_on_acknowledge = true;
        pc_start(pc);
        struct position there = at_tick(0, tick, 0);
        pc_run(pc, &there);
        if (pc->exit_count)
            break; /* the program's OUT */
        assert_int_equal(pc_ticks(pc), tick);
        uint64_t rip = pc->cpu.rip;
        engine_set_intr(pc->engine, true);
        there = at_tick(1, tick, 0x18000);
        assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
        assert_int_equal(pc_get64(pc, pc->cpu.gprs[GPR_RSP]), rip);
        assert_int_equal(pc->exit_count, 1);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        assert_int_equal(pc_get64(pc, 0x22000), 1);
        assert_int_equal(pc->cpu.gprs[GPR_RDX], rdx);
        assert_int_equal(pc->exit_count, 3);
    }
    pc_free(pc);
}

struct fault_case {
    const char *name, *start, *end;
    unsigned cpl, vector;
    int64_t code;    /* -1: none */
    unsigned offset; /* of the faulting instruction; 99: the one after a trap */
};

#define FAULTS(X)                                                                                                      \
    X(de, "nop\n xor %ecx, %ecx\n div %ecx", 0, 0, -1, 3)                                                              \
    X(ud, "nop\n ud2", 3, 6, -1, 1)                                                                                    \
    X(ud_lock, ".byte 0xf0, 0x01, 0xc0", 0, 6, -1, 0)                                                                  \
    X(gp_hlt, "hlt", 3, 13, 0, 0)                                                                                      \
    X(gp_canonical, "nop\n movabs $0x8000000000000000, %rax\n mov (%rax), %eax", 0, 13, 0, 11)                         \
    X(ss_canonical, "movabs $0x8000000000000000, %rbp\n mov (%rbp), %eax", 0, 12, 0, 10)                               \
    X(gp_selector, "mov $0x123, %eax\n mov %eax, %ds", 0, 13, 0x120, 5)                                                \
    X(gp_jump, "movabs $0x8000000000000000, %rax\n jmp *%rax", 0, 13, 0, 10)                                           \
    X(gp_port, "out %al, $0x80", 3, 13, 0, 0)                                                                          \
    X(gp_msr, "mov $0x12345, %ecx\n rdmsr", 0, 13, 0, 5)                                                               \
    X(gp_sse, "movaps 0x20001, %xmm0", 3, 13, 0, 0)                                                                    \
    X(pf_absent_read, "nop\n mov 0x2fff8, %rax\n mov 0x40000000, %eax", 3, 14, 4, 9)                                   \
    X(pf_write, "movl $1, 0x40000000", 0, 14, 2, 0)                                                                    \
    X(pf_rmw, "incl 0x40000000", 3, 14, 6, 0)                                                                          \
    X(pf_fetch, "mov $0x40000000, %eax\n jmp *%rax", 3, 14, 0x14, 98)                                                  \
    X(bp, "int3", 3, 3, -1, 99)                                                                                        \
    X(int80, "int $0x80", 3, 0x80, -1, 99)                                                                             \
    X(too_long, ".fill 15, 1, 0x66\n nop", 0, 13, 0, 0)

#define FAULT_CODE(name, text, cpl, vector, code, offset) PC_ASM(fault_##name, text)
#define FAULT_ENTRY(name, text, cpl, vector, code, offset)                                                             \
    {#name, fault_##name##_start, fault_##name##_end, cpl, vector, code, offset},
FAULTS(FAULT_CODE)
static const struct fault_case faults[] = {FAULTS(FAULT_ENTRY)};

static void test_exceptions(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault_case *f = &faults[i];
        memset(pc->ram.bytes, 0, PC_RAM);
        pc_long_mode(pc, f->cpl);
        pc_code(pc, PC_CODE, f->start, (size_t)(f->end - f->start));
        pc_start(pc);
        if (pc_run(pc, NULL) != ENGINE_STOP_HALT)
            fail_msg("%s: %s", f->name, pc->engine->fault.text);
        if (pc->exits[0].value != f->vector)
            fail_msg("%s: vector %u, not %u", f->name, (unsigned)pc->exits[0].value, f->vector);
        uint64_t top = f->cpl ? PC_KSTACK : PC_STACK;
        uint64_t frame = top - 40 - (f->code >= 0 ? 8 : 0);
        if (pc->cpu.gprs[GPR_RSP] != frame)
            fail_msg("%s: stack at %llx, not %llx", f->name, (unsigned long long)pc->cpu.gprs[GPR_RSP],
                     (unsigned long long)frame);
        if (f->code >= 0) {
            if (pc_get64(pc, frame) != (uint64_t)f->code)
                fail_msg("%s: error code %llx", f->name, (unsigned long long)pc_get64(pc, frame));
            frame += 8;
        }
        uint64_t rip = f->offset == 99   ? PC_CODE + (uint64_t)(f->end - f->start)
                       : f->offset == 98 ? 0x40000000
                                         : PC_CODE + f->offset;
        if (pc_get64(pc, frame) != rip)
            fail_msg("%s: at %llx", f->name, (unsigned long long)pc_get64(pc, frame));
        assert_int_equal(pc_get64(pc, frame + 24), PC_STACK);
        if (f->vector == 14)
            assert_int_equal(pc->cpu.cr2, 0x40000000);
    }
    pc_free(pc);
}

PC_ASM(loop_forever, "1: jmp 1b")
PC_ASM(
    loop_rep,
    "1: mov $-1, %rcx\n mov $0x20000, %edi\n rep scasb\n mov $0x8000, %ecx\n mov $0x20000, %edi\n rep stosb\n jmp 1b")

static void *kicker(void *argument)
{
    usleep(20000);
    engine_kick(argument);
    return NULL;
}

static void test_kick_stops_a_spin(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned i = 0; i < 2; i++) {
        pthread_t thread;
        pc_long_mode(pc, 3);
        if (i)
            PC_LOAD(pc, PC_CODE, loop_rep);
        else
            PC_LOAD(pc, PC_CODE, loop_forever);
        pc_start(pc);
        pthread_create(&thread, NULL, kicker, pc->engine);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_KICK);
        pthread_join(thread, NULL);
        struct position position;
        assert_true(engine_name_position(pc->engine, &position, &pc->error));
        assert_int_equal(position.kind, AT_TICK);
        assert_true(position.ticks > 1000);
    }
    pc_free(pc);
}

/* A store changes an instruction further on in the same block, then one that has run already. */
PC_ASM(modifies, "mov $0, %eax\n movb $5, 1f+1(%rip)\n1: mov $1, %al\n mov $3, %ecx\n"
                 "2: add $1, %edx\n incb 2b+2(%rip)\n loop 2b\n hlt")
static void test_self_modifying_code(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned i = 0; i < 2; i++) {
        pc_long_mode(pc, 0);
        PC_LOAD(pc, PC_CODE, modifies);
        pc->cpu.gprs[GPR_RDX] = 0;
        pc_start(pc);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        assert_int_equal(pc->cpu.gprs[GPR_RAX], 5);
        assert_int_equal(pc->cpu.gprs[GPR_RDX], 1 + 2 + 3);
    }
    pc_free(pc);
}

/* An instruction that lies across two pages, the second of which is changed, then unmapped. */
PC_ASM(crossing, "mov $0x11223344, %eax\n ret")
static void test_page_crossing_code(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned k = 1; k < 5; k++) {
        pc_long_mode(pc, 0);
        PC_LOAD(pc, PC_CODE + 0x1000 - k, crossing);
        pc_code(pc, PC_CODE, "\xe8\x00\x00\x00\x00\xe8\x00\x00\x00\x00\xf4", 11);
        /* Two calls to the crossing instruction; between them the host patches its last byte. */
        int32_t relative = (int32_t)(0x1000 - k - 5);
        memcpy(pc->ram.bytes + PC_CODE + 1, &relative, 4);
        relative -= 5;
        memcpy(pc->ram.bytes + PC_CODE + 6, &relative, 4);
        pc_start(pc);
        struct position there = at_tick(0, 3, PC_CODE + 5);
        assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
        assert_int_equal(pc->cpu.gprs[GPR_RAX], 0x11223344);
        pc_code(pc, PC_CODE + 0x1000 - k + 4, "\x55", 1);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        assert_int_equal(pc->cpu.gprs[GPR_RAX], 0x55223344);
        pc_put64(pc, PC_PT + 8 * 0x11, 0);
        pc->cpu.rip = PC_CODE + 5;
        pc->cpu.halted = false;
        pc_start(pc);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        assert_int_equal(pc->exits[0].value, 14);
        assert_int_equal(pc->cpu.cr2, PC_CODE + 0x1000);
    }
    pc_free(pc);
}

/* The line is looked at where it is set: raises it at this boundary and says whether the interrupt is taken. */
static bool taken_here(struct pc *pc)
{
    uint64_t exits = pc->engine->exits;
    struct position next = at_tick(exits + 1, pc_ticks(pc), 0x18000);
    engine_set_intr(pc->engine, true);
    enum engine_stop stop = pc_run(pc, &next);
    engine_set_intr(pc->engine, false);
    assert_int_equal(stop, pc->engine->exits > exits ? ENGINE_STOP_POSITION : ENGINE_STOP_MISSED);
    return pc->engine->exits > exits;
}

static void go_to(struct pc *pc, uint64_t ticks, uint64_t rip)
{
    struct position there = at_tick(pc->engine->exits, ticks, rip);
    assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
}

/* STI lets one more instruction run; MOV SS likewise; HLT after STI is woken. */
PC_ASM(shadows, "sti\n inc %eax\n inc %eax\n mov $0x10, %ecx\n mov %ecx, %ss\n inc %ebx\n sti\n hlt\n inc %edx\n hlt")
static void test_interrupt_shadow(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    PC_LOAD(pc, PC_CODE, shadows);
    PC_LOAD(pc, 0x18000, interrupt_stub);
    pc_gate(pc, 0x40, 0x18000, 14, 0, 0);
    pc->vector = 0x40;
    pc->cpu.gprs[GPR_RAX] = pc->cpu.gprs[GPR_RBX] = pc->cpu.gprs[GPR_RDX] = 0;
    pc_start(pc);
    assert_false(taken_here(pc));
    go_to(pc, 1, PC_CODE + 1);
    assert_true(pc->cpu.interrupt_shadow);
    assert_false(taken_here(pc));
    go_to(pc, 2, PC_CODE + 3);
    assert_false(pc->cpu.interrupt_shadow);
    assert_true(taken_here(pc));
    assert_int_equal(pc_get64(pc, pc->cpu.gprs[GPR_RSP]), PC_CODE + 3);
    assert_false(taken_here(pc));
    go_to(pc, 9, PC_CODE + 12); /* four instructions of the handler later, and three */
    assert_false(taken_here(pc));
    go_to(pc, 10, PC_CODE + 14);
    assert_true(taken_here(pc));
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], 0);
    pc->lower_on_acknowledge = true;
    engine_set_intr(pc->engine, true);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], 1);
    assert_int_equal(pc->cpu.gprs[GPR_RBX], 1);
    pc_free(pc);
}

/* Memory above RAM is the host's, also for read-modify-write and for REP; each access is an exit. */
PC_ASM(mmio,
       "mov $0x3000000, %ebx\n mov $7, %eax\n nop\n mov %eax, 0x10(%rbx)\n mov 0x20(%rbx), %ecx\n addw $3, 0x30(%rbx)\n"
       " mov %rbx, %rdi\n mov $0x20000, %esi\n mov $3, %ecx\n rep movsl\n mov $0x60, %dx\n mov $2, %ecx\n"
       " mov $0x20000, %edi\n rep insw\n hlt")
static void test_exits(void **state)
{
    (void)state;
    static const char kinds[] = "wrrwwwwrr";
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    PC_LOAD(pc, PC_CODE, mmio);
    pc->read_value = 0xabcd1234;
    pc_start(pc);
    for (unsigned i = 1; i <= 9; i++) {
        if (i == 2)
            pc->stop_after = 2;
        if (i == 3)
            continue; /* the same instruction as exit 4 */
        struct position there = position_at_exit(i), here;
        assert_int_equal(pc_run(pc, i == 2 ? NULL : &there), i == 2 ? ENGINE_STOP_REQUESTED : ENGINE_STOP_POSITION);
        assert_int_equal(pc->exit_count, i);
        assert_int_equal(pc->exits[i - 1].kind, kinds[i - 1]);
        assert_true(engine_name_position(pc->engine, &here, &pc->error));
        assert_true(position_equal(&here, &there));
    }
    assert_int_equal(pc->exits[0].address, 0x3000010);
    assert_int_equal(pc->exits[3].value, 0x1237);
    assert_int_equal(pc->exits[5].address, 0x3000004);
    assert_int_equal(pc->exits[8].address, 0x60);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->engine->exits, 10);
    assert_int_equal(pc_get64(pc, 0x20000) & 0xffffffff, 0x12341234);
    pc_free(pc);
}

/* #GP whose handler's stack is unmapped is a page fault; with IST for neither, that is a double fault. */
static void test_double_fault(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 3);
    pc_code(pc, PC_CODE, "\xf4", 1);
    pc_gate(pc, 8, PC_STUBS + 16 * 8, 14, 0, 1);
    pc_put64(pc, PC_TSS + 4, 0x50000000);
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->exits[0].value, 8);
    assert_int_equal(pc->cpu.gprs[GPR_RSP], PC_KSTACK + 0x4000 - 48);
    assert_int_equal(pc_get64(pc, PC_KSTACK + 0x4000 - 48), 0);
    assert_int_equal(pc_get64(pc, PC_KSTACK + 0x4000 - 40), PC_CODE);
    pc_free(pc);
}

static void test_shutdown(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 3);
    pc_code(pc, PC_CODE, "\xf4", 1);
    pc_put64(pc, PC_TSS + 4, 0x50000000);
    pc_gate(pc, 14, PC_STUBS + 16 * 14, 14, 0, 0);
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_SHUTDOWN);
    pc_free(pc);
}

/* In the middle of a block a fault, and an access that is an exit, count the instructions before them and no others. */
PC_ASM(counted,
       "inc %eax\n inc %eax\n mov 0x3000000, %ebx\n inc %eax\n xor %ecx, %ecx\n div %ecx\n inc %eax\n inc %eax")
static void test_ticks_of_faults_and_exits(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    PC_LOAD(pc, PC_CODE, counted);
    pc_start(pc);
    struct position there = position_at_exit(1);
    assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
    assert_int_equal(pc_ticks(pc), 3);
    there = position_at_exit(2);
    assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
    assert_int_equal(pc_ticks(pc), 3 + 2 + 1 + 2); /* INC, XOR; the fault; the handler's MOV, OUT */
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks_are_exact),
        cmocka_unit_test(test_interrupt_at_every_tick),
        cmocka_unit_test(test_exceptions),
        cmocka_unit_test(test_kick_stops_a_spin),
        cmocka_unit_test(test_self_modifying_code),
        cmocka_unit_test(test_page_crossing_code),
        cmocka_unit_test(test_interrupt_shadow),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_double_fault),
        cmocka_unit_test(test_shutdown),
        cmocka_unit_test(test_ticks_of_faults_and_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
