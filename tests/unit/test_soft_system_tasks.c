/*
 * Hardware task switches as SDM volume 3, chapter 8 has them: by jump, call, gate, interrupt and IRET, between 32-bit
 * and 16-bit TSSs; what becomes of busy flags, links and NT (table 8-2); and the faults of both sides (table 8-1).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

#define NEW_TSS    (STAGE_TSS + 0x200)
#define SEL_NEW    SEL_TEST
#define SEL_GATE   (SEL_TEST + 8)
#define SEL_OTHER  (SEL_TEST + 0x10) /* a descriptor that a test spoils */
#define NEW_CODE   0xc000u
#define NEW_STACK  0x28000u
#define SEL_OF(v)  (0x140u + 8 * (v)) /* the tasks that handle vectors 10 to 13 */
#define TSS_OF(v)  (STAGE_TSS + 0x400 + 0x100 * ((v)-10))
#define CR0_TS_    8u
#define TYPE_OF(s) (stage_get(s, STAGE_GDT + SEL_NEW + 5, 1) & 0x1f)

enum way { JUMP, CALL, JUMP_GATE, CALL_GATE, INTERRUPT, RETURN, WAYS };

/* Offsets in a TSS: SDM volume 3, figures 8-2 and 8-10. */
static unsigned gpr_at(bool wide, unsigned i)
{
    return wide ? 0x28 + 4 * i : 0x12 + 2 * i;
}

static unsigned segment_at(bool wide, unsigned i)
{
    return wide ? 0x48 + 4 * i : 0x22 + 2 * i;
}

static void put_tss(struct stage *s, uint64_t at, bool wide, uint32_t ip, uint32_t flags, uint32_t seed)
{
    unsigned size = wide ? 4 : 2;
    static const uint16_t segments[6] = {SEL_DATA(0), SEL_CODE(0), SEL_DATA(0), SEL_DATA(0), SEL_DATA(0), 0};
    memset(s->ram.bytes + at, 0, 0x68);
    stage_put(s, at + (wide ? 0x20 : 0x0e), ip, size);
    stage_put(s, at + (wide ? 0x24 : 0x10), flags, size);
    for (unsigned i = 0; i < 8; i++)
        stage_put(s, at + gpr_at(wide, i), i == GPR_RSP ? NEW_STACK : seed + i, size);
    for (unsigned i = 0; i < (wide ? 6 : 4); i++)
        stage_put(s, at + segment_at(wide, i), segments[i], 2);
}

/* Code that switches to SEL_NEW in each way. */
static void put_code(struct stage *s, enum way way)
{
    static const char *const code[WAYS] = {"\xea\0\0\0\0\x80\0", "\x9a\0\0\0\0\x80\0", "\xea\0\0\0\0\x88\0",
                                           "\x9a\0\0\0\0\x88\0", "\xcd\x20",           "\xcf"};
    stage_code(s, code[way], way == INTERRUPT ? 2 : way == RETURN ? 1 : 7);
    if (way == RETURN) {
        s->cpu.rflags |= FLAG_NT;
        stage_put(s, STAGE_TSS, SEL_NEW, 2);
    }
}

static void set_up(struct stage *s, enum way way, bool old_wide, bool new_wide)
{
    stage_protected(s, 0);
    stage_descriptor(s, SEL_NEW, stage_system(NEW_TSS, (new_wide ? 9 : 1) | (way == RETURN ? 2 : 0)));
    stage_descriptor(s, SEL_GATE, (uint64_t)SEL_NEW << 16 | D_TYPE(5) | D_P);
    stage_gate(s, 0x20, 5, 0, SEL_NEW, 0);
    put_tss(s, NEW_TSS, new_wide, NEW_CODE, 2 | 0x80, 0x12340);
    stage_put(s, NEW_CODE, 0xf4, 1);
    s->cpu.tr.attributes = SEGMENT_P | (old_wide ? 0xb : 3);
    stage_descriptor(s, SEL_TSS, stage_system(STAGE_TSS, old_wide ? 0xb : 3));
    for (unsigned i = 0; i < 8; i++)
        s->cpu.gprs[i] = i == GPR_RSP ? STAGE_STACK : 0x56780 + i;
    s->cpu.rflags = 2 | 0x40;
    put_code(s, way);
}

static void check_new(struct stage *s, enum way way, bool wide)
{
    bool nested = way == CALL || way == CALL_GATE || way == INTERRUPT;
    const struct cpu_state *c = &s->cpu;
    uint64_t high = wide ? 0 : 0xffff0000;
    assert_int_equal(c->rip, NEW_CODE + 1);
    assert_int_equal(c->rflags, 2 | 0x80 | (nested ? FLAG_NT : 0));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t want = i == GPR_RSP ? NEW_STACK : 0x12340 + i;
        assert_int_equal(c->gprs[i], wide ? want : (want & 0xffff) | high);
    }
    assert_int_equal(c->tr.selector, SEL_NEW);
    assert_int_equal(c->tr.base, NEW_TSS);
    assert_int_equal(c->tr.attributes & 15, wide ? 0xb : 3);
    assert_int_equal(c->cs.selector, SEL_CODE(0));
    assert_int_equal(c->ds.selector, SEL_DATA(0));
    assert_true(c->gs.attributes & SEGMENT_UNUSABLE);
    assert_true(c->ldt.attributes & SEGMENT_UNUSABLE);
    assert_true(c->cr0 & CR0_TS_);
    assert_int_equal(TYPE_OF(s), wide ? 0xb : 3);
    assert_int_equal(stage_get(s, NEW_TSS, 2), nested ? SEL_TSS : 0);
}

static void check_old(struct stage *s, enum way way, bool wide)
{
    bool nested = way == CALL || way == CALL_GATE || way == INTERRUPT;
    unsigned size = wide ? 4 : 2, length = way == INTERRUPT ? 2 : way == RETURN ? 1 : 7;
    uint64_t mask = wide ? UINT64_MAX : 0xffff;
    assert_int_equal(stage_get(s, STAGE_GDT + SEL_TSS + 5, 1) & 0x1f, (wide ? 9 : 1) | (nested ? 2 : 0));
    /* Two bytes of RIP are enough to tell, and all that a 16-bit TSS has. */
    assert_int_equal(stage_get(s, STAGE_TSS + (wide ? 0x20 : 0x0e), size), (STAGE_CODE + length) & mask);
    /* IRET saves the flags without NT. */
    assert_int_equal(stage_get(s, STAGE_TSS + (wide ? 0x24 : 0x10), size), 2 | 0x40);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t want = i == GPR_RSP ? STAGE_STACK : 0x56780 + i;
        assert_int_equal(stage_get(s, STAGE_TSS + gpr_at(wide, i), size), want & mask);
    }
    for (unsigned i = 0; i < (wide ? 6 : 4); i++)
        assert_int_equal(stage_get(s, STAGE_TSS + segment_at(wide, i), 2), i == 1 ? SEL_CODE(0) : SEL_DATA(0));
}

static void test_switches(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned way = 0; way < WAYS; way++)
        for (unsigned wide = 0; wide < 4; wide++) {
            set_up(s, (enum way)way, wide & 1, wide >> 1);
            struct outcome o = stage_run(s, 0);
            if (o.vector != DONE)
                fail_msg("way %u, TSSs %u: vector %d code %x %s", way, wide, o.vector, o.code, s->engine->fault.text);
            check_new(s, (enum way)way, wide >> 1);
            check_old(s, (enum way)way, wide & 1);
        }
    stage_free(s);
}

/* Faults that are raised before the switch: they are the old task's. */
static void test_old_faults(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum way way;
        unsigned cpl, dpl, type, limit;
        bool absent;
        int vector;
        uint32_t code;
    } list[] = {
        {"limit", JUMP, 0, 0, 9, 0x66, false, 10, SEL_NEW},
        {"limit", JUMP, 0, 0, 9, 0x67, false, DONE, 0},
        {"limit", CALL, 0, 0, 1, 0x2a, false, 10, SEL_NEW},
        {"limit", CALL, 0, 0, 1, 0x2b, false, DONE, 0},
        {"limit", INTERRUPT, 0, 0, 9, 0x66, false, 10, SEL_NEW},
        {"limit", RETURN, 0, 0, 11, 0x66, false, 10, SEL_NEW},
        {"busy", JUMP, 0, 0, 11, 0x67, false, 13, SEL_NEW},
        {"busy", CALL_GATE, 0, 0, 11, 0x67, false, 13, SEL_NEW},
        {"busy", INTERRUPT, 0, 0, 3, 0x67, false, 13, SEL_NEW},
        {"idle", RETURN, 0, 0, 9, 0x67, false, 10, SEL_NEW},
        {"absent", JUMP, 0, 0, 9, 0x67, true, 11, SEL_NEW},
        {"absent", INTERRUPT, 0, 0, 9, 0x67, true, 11, SEL_NEW},
        {"absent", RETURN, 0, 0, 11, 0x67, true, 11, SEL_NEW},
        {"privilege", JUMP, 3, 0, 9, 0x67, false, 13, SEL_NEW},
        {"privilege", CALL, 3, 2, 9, 0x67, false, 13, SEL_NEW},
        {"privilege", CALL, 3, 3, 9, 0x67, false, DONE, 0},
        {"gate", JUMP_GATE, 3, 3, 9, 0x67, false, 13, SEL_GATE},
        {"gate", INTERRUPT, 3, 3, 9, 0x67, false, 13, 0x102},
        {"an LDT", JUMP_GATE, 0, 0, 2, 0x67, false, 13, SEL_NEW},
        {"an LDT", RETURN, 0, 0, 2, 0x67, false, 10, SEL_NEW},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        bool wide = list[i].type & 8;
        set_up(s, list[i].way, true, wide);
        if (list[i].cpl) {
            s->cpu.cs = stage_flat(SEL_CODE(3), T_CODE, 3, SEGMENT_DB);
            s->cpu.ss = s->cpu.ds = stage_flat(SEL_DATA(3), T_DATA, 3, SEGMENT_DB);
        }
        uint64_t tss = stage_system(NEW_TSS, list[i].type) | D_DPL(list[i].dpl);
        tss = (tss & ~UINT64_C(0xffff)) | list[i].limit;
        stage_descriptor(s, SEL_NEW, list[i].absent ? tss & ~D_P : tss);
        struct outcome o = stage_run(s, 0);
        if (o.vector != list[i].vector || o.code != list[i].code)
            fail_msg("%s, case %u: vector %d code %x", list[i].name, i, o.vector, o.code);
        if (list[i].vector != DONE)
            assert_int_equal(s->cpu.tr.selector, SEL_TSS);
    }
    stage_free(s);
}

/* Faults of what the new TSS holds: they are the new task's, and tasks of their own handle them. */
static void test_new_faults(void **state)
{
    (void)state;
    enum { ES = 0x48, CS = 0x4c, SS = 0x50, DS = 0x54, FS = 0x58, GS = 0x5c, LDT = 0x60 };
    static const struct {
        const char *name;
        unsigned field, selector;
        uint64_t descriptor; /* of SEL_OTHER */
        int vector;
        uint32_t code;
    } list[] = {
        {"LDT in LDT", LDT, 4, 0, 10, 4},
        {"LDT beyond", LDT, 0x200, 0, 10, 0x200},
        {"LDT of another type", LDT, SEL_DATA(0), 0, 10, SEL_DATA(0)},
        {"LDT absent", LDT, SEL_OTHER, D_TYPE(2), 10, SEL_OTHER},
        {"LDT good", LDT, SEL_LDT, 0, DONE, 0},
        {"CS null", CS, 0, 0, 10, 0},
        {"CS data", CS, SEL_DATA(0), 0, 10, SEL_DATA(0)},
        {"CS absent", CS, SEL_OTHER, D_FLAT | D_TYPE(T_CODE), 11, SEL_OTHER},
        {"CS RPL", CS, SEL_CODE(0) | 1, 0, 10, SEL_CODE(0)},
        {"CS limit", CS, SEL_OTHER, D_BYTES(0xbfff) | D_P | D_TYPE(T_CODE) | D_DB, 13, 0},
        {"CS within", CS, SEL_OTHER, D_BYTES(0xc000) | D_P | D_TYPE(T_CODE) | D_DB, DONE, 0},
        {"SS null", SS, 0, 0, 10, 0},
        {"SS RPL", SS, SEL_DATA(0) | 3, 0, 10, SEL_DATA(0)},
        {"SS read-only", SS, SEL_OTHER, D_FLAT | D_P | D_TYPE(0x11), 10, SEL_OTHER},
        {"SS DPL", SS, SEL_OTHER, D_FLAT | D_P | D_TYPE(T_DATA) | D_DPL(1), 10, SEL_OTHER},
        {"SS absent", SS, SEL_OTHER, D_FLAT | D_TYPE(T_DATA), 12, SEL_OTHER},
        {"DS absent", DS, SEL_OTHER, D_FLAT | D_TYPE(T_DATA), 11, SEL_OTHER},
        {"DS execute-only", DS, SEL_OTHER, D_FLAT | D_P | D_TYPE(0x18), 10, SEL_OTHER},
        {"ES a system segment", ES, SEL_TSS, 0, 10, SEL_TSS},
        {"FS RPL", FS, SEL_DATA(0) | 3, 0, 10, SEL_DATA(0)},
        {"GS beyond", GS, 0x204, 0, 10, 0x204},
        {"GS null", GS, 3, 0, DONE, 0},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        set_up(s, JUMP, true, true);
        stage_put(s, NEW_TSS + list[i].field, list[i].selector, 2);
        stage_descriptor(s, SEL_OTHER, list[i].descriptor);
        for (unsigned v = 10; v < 14; v++) {
            stage_descriptor(s, SEL_OF(v), stage_system(TSS_OF(v), 9));
            put_tss(s, TSS_OF(v), true, (uint32_t)stage_stub(v), 2, 0);
            stage_gate(s, v, 5, 0, SEL_OF(v), 0);
        }
        struct outcome o = stage_run(s, 0);
        if (o.vector != list[i].vector || o.code != list[i].code)
            fail_msg("%s: vector %d code %x %s", list[i].name, o.vector, o.code, s->engine->fault.text);
        if (o.vector == DONE)
            continue;
        assert_int_equal(s->cpu.tr.selector, SEL_OF((unsigned)o.vector));
        assert_int_equal(stage_get(s, TSS_OF((unsigned)o.vector), 2), SEL_NEW);
        assert_int_equal(stage_get(s, NEW_TSS + 0x20, 4), NEW_CODE);
    }
    stage_free(s);
}

/* A fault with an error code puts it on the new task's stack; the old task restarts at its instruction. */
static void test_fault_through_a_task(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned wide = 0; wide < 2; wide++) {
        set_up(s, JUMP, true, wide);
        stage_gate(s, 13, 5, 0, SEL_NEW, 0);
        stage_descriptor(s, SEL_OTHER, D_FLAT | D_P | D_TYPE(T_CODE));
        s->cpu.gprs[GPR_RAX] = 0x200;
        stage_code(s, "\x8e\xd8\xf4", 3);
        struct outcome o = stage_run(s, 0);
        assert_int_equal(o.vector, DONE);
        unsigned size = wide ? 4 : 2;
        uint64_t stack = wide ? NEW_STACK : (uint16_t)NEW_STACK | 0xffff0000;
        assert_int_equal(s->cpu.gprs[GPR_RSP], (uint32_t)(stack - size));
        assert_int_equal(stage_get(s, STAGE_TSS + 0x20, 4), STAGE_CODE);
        assert_int_equal(stage_get(s, STAGE_TSS + 0x24, 4), 2 | 0x40 | FLAG_RF);
        if (wide)
            assert_int_equal(stage_get(s, NEW_STACK - 4, 4), 0x200);
    }
    stage_free(s);
}

/* The T flag traps before the new task's first instruction; local breakpoints are gone. */
static void test_debug_trap(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    set_up(s, JUMP, true, true);
    stage_put(s, NEW_TSS + 0x64, 1, 2);
    s->cpu.dr7 = 0x400 | 0x155 | 0x22;
    s->cpu.dr[0] = s->cpu.dr[2] = NEW_CODE; /* local alone, and both */
    s->cpu.dr[1] = s->cpu.dr[3] = 0x70000;
    struct outcome o = stage_run(s, 0);
    assert_int_equal(o.vector, 1);
    assert_int_equal(o.rip, NEW_CODE);
    assert_int_equal(s->cpu.dr6 & 0xe00f, 0x8000);
    assert_int_equal(s->cpu.dr7, 0x400 | 0x22);
    stage_free(s);
}

/* A TSS whose flags have VM starts a virtual-8086 task. */
static void test_v86_task(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    set_up(s, CALL, true, true);
    stage_put(s, NEW_TSS + 4, STAGE_KSTACK, 4);
    stage_put(s, NEW_TSS + 8, SEL_DATA(0), 2);
    stage_put(s, NEW_TSS + 0x20, 0x10, 4);
    stage_put(s, NEW_TSS + 0x24, 2 | FLAG_VM | FLAG_IOPL3, 4);
    for (unsigned i = 0; i < 6; i++)
        stage_put(s, NEW_TSS + 0x48 + 4 * i, NEW_CODE >> 4, 2);
    stage_put(s, NEW_CODE + 0x10, 0xf4, 1);
    struct outcome o = stage_run(s, NEW_CODE);
    assert_int_equal(o.vector, 13);
    assert_int_equal(o.rip, 0x10);
    assert_int_equal(o.cs, NEW_CODE >> 4);
    assert_int_equal(o.rflags, 2 | FLAG_VM | FLAG_IOPL3 | FLAG_NT | FLAG_RF);
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switches),   cmocka_unit_test(test_old_faults),
        cmocka_unit_test(test_new_faults), cmocka_unit_test(test_fault_through_a_task),
        cmocka_unit_test(test_debug_trap), cmocka_unit_test(test_v86_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
