/*
 * Segment registers and limits as the SDM has them: loads, far jumps, calls and returns to code, VERR VERW LAR LSL,
 * LLDT and LTR, each against every type, privilege and presence of a descriptor, and a rule written from volume 2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

/* A descriptor, a selector for it, and who uses it. */
struct use {
    bool wide; /* in 64-bit mode */
    unsigned cpl, rpl, dpl, type;
    bool present;
    uint16_t selector;
};

struct expected {
    int vector;
    uint32_t code;
};
static const struct expected good = {DONE, 0};

static bool is_system(unsigned type)
{
    return !(type & 0x10);
}

static bool is_code(unsigned type)
{
    return (type & 0x18) == 0x18;
}

static bool is_conforming(unsigned type)
{
    return (type & 0x1c) == 0x1c;
}

static bool is_writable(unsigned type)
{
    return (type & 0x1a) == 0x12;
}

static bool is_readable(unsigned type)
{
    return !is_system(type) && (!is_code(type) || (type & 2));
}

static struct expected fault(int vector, const struct use *t)
{
    return (struct expected){vector, t->selector & 0xfffcu};
}

static void check(const char *what, const struct use *t, const struct outcome *o, struct expected want)
{
    if (o->vector != want.vector || (want.vector >= 0 && o->code != want.code))
        fail_msg("%s%s: cpl %u rpl %u dpl %u type %x present %u: vector %d code %x, not %d code %x", what,
                 t->wide ? " in 64-bit mode" : "", t->cpl, t->rpl, t->dpl, t->type, t->present, o->vector, o->code,
                 want.vector, want.code);
}

/* Sets the stage for `t`: its descriptor is SEL_TEST's, in the GDT or, for every other type, the LDT. */
static void set_up(struct stage *s, struct use *t, uint64_t width)
{
    if (t->wide)
        stage_long(s, t->cpl);
    else
        stage_protected(s, t->cpl);
    unsigned local = t->type & 0x10 && t->type & 1 ? 4 : 0;
    t->selector = (uint16_t)((local ? 0x20 : SEL_TEST) | local | t->rpl);
    uint64_t d = D_FLAT | width | D_DPL(t->dpl) | D_TYPE(t->type) | (t->present ? D_P : 0);
    stage_descriptor(s, t->selector, d);
    s->cpu.gprs[GPR_RAX] = t->selector;
}

/* Use `n` of all there are; false after the last. 64-bit mode comes last, if it is wanted. */
static bool nth_use(struct use *t, unsigned n, bool widest)
{
    *t = (struct use){.present = n & 1, .type = n >> 1 & 31, .dpl = n >> 6 & 3, .rpl = n >> 8 & 3, .cpl = n >> 10 & 3};
    t->wide = n >> 12;
    return n < (widest ? 1u << 13 : 1u << 12);
}

#define FOR_USES(t, widest) for (unsigned use_ = 0; nth_use(&t, use_, widest); use_++)

/* ---- MOV to DS and SS ---- */

static struct expected data_load(const struct use *t)
{
    bool checked = !is_conforming(t->type);
    if (!is_readable(t->type) || (checked && (t->rpl > t->dpl || t->cpl > t->dpl)))
        return fault(13, t);
    return t->present ? good : fault(11, t);
}

static struct expected stack_load(const struct use *t)
{
    if (t->rpl != t->cpl || !is_writable(t->type) || t->dpl != t->cpl)
        return fault(13, t);
    return t->present ? good : fault(12, t);
}

static void test_loads(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned stack = 0; stack < 2; stack++)
        FOR_USES(t, 1)
        {
            set_up(s, &t, D_DB);
            struct expected want = stack ? stack_load(&t) : data_load(&t);
            struct outcome o = stage_run_code(s, stack ? "\x8e\xd0\xf4" : "\x8e\xd8\xf4", 3);
            check(stack ? "mov ss" : "mov ds", &t, &o, want);
            uint64_t at = (t.selector & 4 ? STAGE_LDT : STAGE_GDT) + (t.selector & 0xfff8u);
            unsigned accessed = stage_get(s, at + 5, 1) & 1;
            if (accessed != ((t.type & 1) || want.vector == DONE))
                fail_msg("cpl %u rpl %u dpl %u type %x: accessed is %u", t.cpl, t.rpl, t.dpl, t.type, accessed);
            if (want.vector == DONE && !stack)
                assert_int_equal(s->cpu.ds.selector, t.selector);
        }
    stage_free(s);
}

/* Null selectors, and those beyond their tables. */
static void test_odd_selectors(void **state)
{
    (void)state;
    static const struct {
        bool wide, stack;
        unsigned cpl, selector;
        struct expected want;
    } list[] = {
        {false, false, 0, 0, {DONE, 0}},       {false, false, 3, 3, {DONE, 0}},
        {false, true, 0, 0, {13, 0}},          {false, true, 3, 3, {13, 0}},
        {true, true, 0, 0, {DONE, 0}},         {true, true, 0, 1, {13, 0}},
        {true, true, 3, 3, {13, 0}},           {true, false, 3, 3, {DONE, 0}},
        {false, false, 0, 0x200, {13, 0x200}}, {false, false, 0, 0xfff8, {13, 0xfff8}},
        {false, true, 0, 0x200, {13, 0x200}},  {false, false, 0, 0x6c, {13, 0x6c}},
        {true, false, 3, 0x7f, {13, 0x7c}},    {false, false, 0, 4, {13, 4}},
        {false, true, 3, 0x6f, {13, 0x6c}},    {true, true, 2, 2, {DONE, 0}},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        if (list[i].wide)
            stage_long(s, list[i].cpl);
        else
            stage_protected(s, list[i].cpl);
        s->cpu.gprs[GPR_RAX] = list[i].selector;
        struct outcome o = stage_run_code(s, list[i].stack ? "\x8e\xd0\xf4" : "\x8e\xd8\xf4", 3);
        if (o.vector != list[i].want.vector || o.code != list[i].want.code)
            fail_msg("case %u: vector %d code %x", i, o.vector, o.code);
    }
    stage_free(s);
}

/* ---- Far jumps and calls to code, by their selector alone ---- */

static struct expected direct(const struct use *t)
{
    if (!is_code(t->type))
        return fault(13, t);
    if (is_conforming(t->type) ? t->dpl > t->cpl : t->rpl > t->cpl || t->dpl != t->cpl)
        return fault(13, t);
    return t->present ? good : fault(11, t);
}

/* Gates and available TSSs lead elsewhere. */
static bool leads_elsewhere(unsigned type)
{
    return type == 1 || type == 4 || type == 5 || type == 9 || type == 12;
}

#define TARGET (STAGE_CODE + 0x100)

static void test_far_direct(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned call = 0; call < 2; call++)
        FOR_USES(t, 0)
        {
            if (leads_elsewhere(t.type))
                continue;
            set_up(s, &t, D_DB);
            stage_put(s, STAGE_CODE, call ? 0x9a : 0xea, 1);
            stage_put(s, STAGE_CODE + 1, TARGET, 4);
            stage_put(s, STAGE_CODE + 5, t.selector, 2);
            stage_put(s, TARGET, 0xf4, 1);
            struct outcome o = stage_run(s, TARGET);
            struct expected want = direct(&t);
            check(call ? "far call" : "far jump", &t, &o, want);
            if (want.vector != DONE)
                continue;
            /* The level stays what it was, whatever the selector asks. */
            unsigned cs = t.cpl ? o.cs : s->cpu.cs.selector;
            assert_int_equal(cs, (t.selector & ~3u) | t.cpl);
            if (call)
                assert_int_equal(stage_get(s, STAGE_STACK - 8, 8), (uint64_t)SEL_CODE(t.cpl) << 32 | (STAGE_CODE + 7));
        }
    stage_free(s);
}

/* ---- RETF and IRET ---- */

static struct expected returning(const struct use *t)
{
    if (!is_code(t->type) || t->rpl < t->cpl || (is_conforming(t->type) ? t->dpl > t->rpl : t->dpl != t->rpl))
        return fault(13, t);
    return t->present ? good : fault(11, t);
}

/* The frame of a return to `selector`: RIP, CS, the flags if IRET, and the outer stack. */
static void put_frame(struct stage *s, bool iret, unsigned size, uint16_t selector, uint16_t stack)
{
    uint64_t words[5] = {TARGET, selector, 2, STAGE_STACK - 0x1000, stack};
    uint64_t sp = STAGE_STACK - 5 * size;
    s->cpu.gprs[GPR_RSP] = sp;
    for (unsigned i = 0; i < 5; i++)
        if (iret || i != 2) {
            stage_put(s, sp, words[i], size);
            sp += size;
        }
    static const char *const code[2][2] = {{"\xcb\xf4", "\xcf\xf4"}, {"\x48\xcb", "\x48\xcf"}};
    stage_code(s, code[size == 8][iret], 2);
    stage_put(s, TARGET, 0xf4, 1);
}

static void test_far_returns(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned iret = 0; iret < 2; iret++)
        FOR_USES(t, 1)
        {
            set_up(s, &t, t.wide ? D_L : D_DB);
            put_frame(s, iret, t.wide ? 8 : 4, t.selector, SEL_DATA(t.rpl));
            struct outcome o = stage_run(s, TARGET);
            struct expected want = returning(&t);
            check(iret ? "iret" : "retf", &t, &o, want);
            if (want.vector == DONE)
                assert_int_equal(t.rpl ? o.cs : s->cpu.cs.selector, t.selector);
            if (want.vector == DONE && t.rpl > t.cpl)
                assert_int_equal(o.sp, STAGE_STACK - 0x1000);
        }
    stage_free(s);
}

/* The stack segment of a return from level 0 to an outer one is looked at after the code. */
static void test_return_stacks(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned to = 1; to < 4; to++)
        FOR_USES(t, 1)
        {
            if (t.cpl != 0)
                continue;
            set_up(s, &t, D_DB);
            put_frame(s, true, t.wide ? 8 : 4, t.wide ? SEL_CODE64(3) : SEL_CODE(to), t.selector);
            struct use stack = t;
            stack.cpl = t.wide ? 3 : to;
            struct outcome o = stage_run(s, TARGET);
            check("iret's stack", &t, &o, stack_load(&stack));
        }
    stage_free(s);
}

/* ---- VERR VERW LAR LSL ---- */

static bool may_see(const struct use *t)
{
    return is_conforming(t->type) || (t->cpl <= t->dpl && t->rpl <= t->dpl);
}

/* Which system types LAR and LSL know: volume 2, tables 3-53 and 3-56. */
static bool known(const struct use *t, bool lsl)
{
    static const uint8_t gates[] = {4, 5, 12}, segments[] = {1, 2, 3, 9, 11};
    if (t->wide)
        return t->type == 2 || t->type == 9 || t->type == 11 || (t->type == 12 && !lsl);
    for (unsigned i = 0; i < sizeof segments; i++)
        if (t->type == segments[i])
            return true;
    return !lsl && memchr(gates, (int)t->type, sizeof gates);
}

static void test_questions(void **state)
{
    (void)state;
    static const char *const code[] = {"\x0f\x00\xe0\xf4", "\x0f\x00\xe8\xf4", "\x0f\x02\xc8\xf4", "\x0f\x03\xc8\xf4"};
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned which = 0; which < 4; which++)
        FOR_USES(t, 1)
        {
            set_up(s, &t, D_DB);
            s->cpu.gprs[GPR_RCX] = 0x1234;
            struct outcome o = stage_run_code(s, code[which], 4);
            check("question", &t, &o, good);
            bool zf = (t.cpl ? o.rflags : s->cpu.rflags) >> 6 & 1, want = may_see(&t);
            if (which == 0)
                want &= is_readable(t.type);
            else if (which == 1)
                want &= is_writable(t.type);
            else
                want &= !is_system(t.type) || known(&t, which == 3);
            if (zf != want)
                fail_msg("question %u wide %u cpl %u rpl %u dpl %u type %x: ZF is %u", which, t.wide, t.cpl, t.rpl,
                         t.dpl, t.type, zf);
            /* Bits 16 to 19 of LAR's answer are undefined. */
            uint64_t answer = which == 2 ? s->cpu.gprs[GPR_RCX] & 0xfff0ffff : s->cpu.gprs[GPR_RCX];
            uint64_t rights = 0x00c00000 | (t.present ? 0x8000 : 0) | t.dpl << 13 | t.type << 8;
            uint64_t wanted = !want || which < 2 ? 0x1234 : which == 3 ? 0xffffffff : rights;
            assert_int_equal(answer, wanted);
        }
    stage_free(s);
}

/* ---- LLDT and LTR ---- */

static struct expected system_load(const struct use *t, bool task)
{
    bool right = task ? t->type == 9 || (t->type == 1 && !t->wide) : t->type == 2;
    if (t->cpl)
        return (struct expected){13, 0};
    if (!right)
        return fault(13, t);
    return t->present ? good : fault(11, t);
}

static void test_system_loads(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct use t = {0};
    for (unsigned task = 0; task < 2; task++)
        FOR_USES(t, 1)
        {
            set_up(s, &t, 0);
            if (t.selector & 4)
                continue;
            stage_code(s, task ? "\x0f\x00\xd8\xf4" : "\x0f\x00\xd0\xf4", 4);
            /* Above level 0 it is not the HLT that faults. */
            struct outcome o = stage_run(s, t.cpl ? 0 : STAGE_CODE + 3);
            struct expected want = system_load(&t, task);
            check(task ? "ltr" : "lldt", &t, &o, want);
            unsigned type = stage_get(s, STAGE_GDT + SEL_TEST + 5, 1) & 0x1f;
            assert_int_equal(type, want.vector == DONE && task ? t.type | 2 : t.type);
        }
    stage_free(s);
}

/* ---- Limits and kinds of access ---- */

/* SDM volume 3, 5.3. */
static bool inside(unsigned type, bool big, uint64_t limit, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    if (!is_code(type) && (type & 4))
        return offset > limit && last <= (big ? 0xffffffff : 0xffff);
    return last <= limit;
}

static void test_limits(void **state)
{
    (void)state;
    static const unsigned limits[] = {0, 1, 3, 0xffe, 0xfff, 0x1000, 0xfffe, 0xffff};
    static const unsigned offsets[] = {0,     1,      2,      3,      4,      0xffc,  0xffd,  0xffe,
                                       0xfff, 0x1000, 0x1001, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff};
    static const char *const code[2][3] = {{"\x8a\x06\xf4\x90", "\x66\x8b\x06\xf4", "\x8b\x06\xf4\x90"},
                                           {"\x88\x06\xf4\x90", "\x66\x89\x06\xf4", "\x89\x06\xf4\x90"}};
    struct stage *s = stage_new();
    for (unsigned type = 0x10; type < 0x20; type++)
        for (unsigned big = 0; big < 2; big++)
            for (unsigned l = 0; l < sizeof limits / sizeof *limits; l++)
                for (unsigned k = 0; k < sizeof offsets / sizeof *offsets; k++)
                    for (unsigned way = 0; way < 6; way++) {
                        unsigned size = 1u << way % 3, write = way / 3, prefix = size == 2;
                        stage_protected(s, 0);
                        s->cpu.ds = (struct segment){.selector = SEL_TEST, .base = 0x60000, .limit = limits[l]};
                        s->cpu.ds.attributes = type | SEGMENT_P | (big ? SEGMENT_DB : 0);
                        s->cpu.gprs[GPR_RSI] = offsets[k];
                        stage_code(s, code[write][way % 3], 4);
                        struct outcome o = stage_run(s, STAGE_CODE + 2 + prefix);
                        bool fine = inside(type, big, limits[l], offsets[k], size) &&
                                    (write ? is_writable(type) : is_readable(type));
                        if (o.vector != (fine ? DONE : 13) || o.code != 0)
                            fail_msg("type %x big %u limit %x offset %x size %u write %u: vector %d", type, big,
                                     limits[l], offsets[k], size, write, o.vector);
                    }
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),        cmocka_unit_test(test_odd_selectors), cmocka_unit_test(test_far_direct),
        cmocka_unit_test(test_far_returns),  cmocka_unit_test(test_return_stacks), cmocka_unit_test(test_questions),
        cmocka_unit_test(test_system_loads), cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
