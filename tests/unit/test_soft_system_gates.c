/*
 * Gates as the SDM has them: delivery through interrupt and trap gates, call gates, faults while an event is delivered
 * and double faults (volume 2, INT n and CALL; volume 3, 5.8 and 6.15).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

#define HANDLER 0xc000u /* within the reach of a 16-bit gate */
#define VECTOR  0x20u
#define FLAG_IF 0x200u

/* ---- Interrupt and trap gates ---- */

enum source { BY_INT, BY_INT3, BY_FAULT, BY_LINE };

struct event {
    bool wide;
    enum source source;
    unsigned cpl, gate_type, gate_dpl, code_dpl;
    bool gate_present, code_present, conforming;
};

struct expected {
    int vector; /* DONE: the handler runs, at level `cpl` */
    uint32_t code;
    unsigned cpl;
};

static unsigned event_vector(const struct event *e)
{
    return e->source == BY_INT3 ? 3 : e->source == BY_FAULT ? 6 : VECTOR;
}

static struct expected deliver(const struct event *e)
{
    bool software = e->source == BY_INT || e->source == BY_INT3;
    unsigned type = e->gate_type;
    uint32_t external = !software, gate = event_vector(e) * 8 + 2 + external, code = SEL_TEST + external;
    bool right = type == 14 || type == 15 || (!e->wide && (type == 6 || type == 7));
    if (!right || (software && e->gate_dpl < e->cpl))
        return (struct expected){13, gate, 0};
    if (!e->gate_present)
        return (struct expected){11, gate, 0};
    if (e->code_dpl > e->cpl)
        return (struct expected){13, code, 0};
    if (!e->code_present)
        return (struct expected){11, code, 0};
    return (struct expected){DONE, 0, e->conforming ? e->cpl : e->code_dpl};
}

static void set_up_event(struct stage *s, const struct event *e)
{
    static const char *const code[] = {"\xcd\x20\xf4", "\xcc\xf4\xf4", "\x0f\x0b\xf4", "\x90\x90\xf4"};
    if (e->wide)
        stage_long(s, e->cpl);
    else
        stage_protected(s, e->cpl);
    unsigned vector = event_vector(e);
    stage_gate(s, vector, e->gate_type, e->gate_dpl, SEL_TEST | 3, HANDLER);
    if (!e->gate_present)
        s->ram.bytes[STAGE_IDT + (e->wide ? 16 : 8) * vector + 5] &= 0x7f;
    stage_descriptor(s, SEL_TEST,
                     D_FLAT | D_TYPE(e->conforming ? 0x1e : 0x1a) | D_DPL(e->code_dpl) | (e->wide ? D_L : D_DB) |
                         (e->code_present ? D_P : 0));
    s->cpu.rflags = 2 | FLAG_IF | FLAG_NT;
    stage_put(s, HANDLER, 0xf4, 1);
    stage_code(s, code[e->source], 3);
    s->vector = VECTOR;
    engine_set_intr(s->engine, e->source == BY_LINE);
}

static void complain(const struct event *e, const char *what, uint64_t got, uint64_t want)
{
    fail_msg(
        "wide %u source %u cpl %u gate type %x dpl %u present %u; code dpl %u present %u conforming %u: %s is %llx, "
        "not %llx",
        e->wide, e->source, e->cpl, e->gate_type, e->gate_dpl, e->gate_present, e->code_dpl, e->code_present,
        e->conforming, what, (unsigned long long)got, (unsigned long long)want);
}

/* The frame at `frame`, whose words have the gate's size, and the flags that the handler starts with. */
static void check_frame(struct stage *s, const struct event *e, const struct expected *want, uint64_t frame,
                        uint64_t flags)
{
    unsigned size = e->wide ? 8 : e->gate_type & 8 ? 4 : 2;
    bool inner = want->cpl < e->cpl;
    unsigned words = inner || e->wide ? 5 : 3;
    uint64_t top = inner ? STAGE_KSTACK - 0x2000 * want->cpl : STAGE_STACK;
    uint64_t rip = STAGE_CODE + (e->source == BY_INT ? 2 : e->source == BY_INT3 ? 1 : 0);
    uint64_t image = 2 | FLAG_IF | FLAG_NT | (e->source == BY_FAULT ? FLAG_RF : 0),
             mask = UINT64_MAX >> (64 - 8 * size);
    uint64_t values[5] = {rip, e->wide ? SEL_CODE64(e->cpl) : SEL_CODE(e->cpl), image, STAGE_STACK, SEL_DATA(e->cpl)};
    if (frame != top - words * size)
        complain(e, "the stack pointer", frame, top - words * size);
    for (unsigned i = 0; i < words; i++)
        if (stage_get(s, frame + i * size, size) != (values[i] & mask))
            complain(e, "a word of the frame", stage_get(s, frame + i * size, size), values[i] & mask);
    uint64_t left = 2 | (e->gate_type & 1 ? FLAG_IF : 0);
    if ((flags & ~(uint64_t)FLAG_RF) != left)
        complain(e, "RFLAGS", flags, left);
}

static void run_event(struct stage *s, const struct event *e)
{
    struct expected want = deliver(e);
    set_up_event(s, e);
    struct outcome o = stage_run(s, 0);
    /* A handler above level 0 comes to its end in #GP(0). */
    bool outer_end = o.vector == 13 && o.code == 0 && o.rip == HANDLER;
    if (want.vector != DONE) {
        if (o.vector != want.vector)
            complain(e, "the vector", (uint64_t)(int64_t)o.vector, (uint64_t)want.vector);
        if (o.code != want.code)
            complain(e, "the error code", o.code, want.code);
        return;
    }
    if (want.cpl ? !outer_end : s->cpu.rip != HANDLER + 1)
        complain(e, "RIP", s->cpu.rip, HANDLER);
    unsigned cs = want.cpl ? o.cs : s->cpu.cs.selector;
    if (cs != (SEL_TEST | want.cpl))
        complain(e, "CS", cs, SEL_TEST | want.cpl);
    check_frame(s, e, &want, want.cpl ? o.sp : s->cpu.gprs[GPR_RSP], want.cpl ? o.rflags : s->cpu.rflags);
}

static void test_delivery(void **state)
{
    (void)state;
    static const uint8_t types[] = {0, 4, 6, 7, 12, 14, 15, 0x1e};
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 1u << 15; n++) {
        struct event e = {.wide = n & 1,
                          .source = (enum source)(n >> 1 & 3),
                          .cpl = n >> 3 & 3,
                          .gate_type = types[n >> 5 & 7],
                          .gate_dpl = n >> 8 & 3,
                          .code_dpl = n >> 10 & 3,
                          .gate_present = n >> 12 & 1,
                          .code_present = n >> 13 & 1,
                          .conforming = n >> 14 & 1};
        run_event(s, &e);
    }
    stage_free(s);
}

/* The IDT's limit, and what the gate's selector may not be; INT n tells the gate, an event of the processor's adds EXT.
 */
static void test_gate_selectors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool wide, fault;
        unsigned idt_limit, selector, width;
        int vector;
        uint32_t code;
    } list[] = {
        {"limit", false, false, 0x106, SEL_CODE(0), 0, 13, 0x102},
        {"within", false, false, 0x107, SEL_CODE(0), 0, DONE, 0},
        {"limit", true, false, 0x20e, SEL_CODE64(0), 0, 13, 0x102},
        {"within", true, false, 0x20f, SEL_CODE64(0), 0, DONE, 0},
        {"null", false, false, 0x7ff, 0, 0, 13, 0},
        {"null", false, true, 0x7ff, 3, 0, 13, 1},
        {"beyond", false, false, 0x7ff, 0x200, 0, 13, 0x200},
        {"beyond", false, true, 0x7ff, 0x203, 0, 13, 0x201},
        {"data", false, true, 0x7ff, SEL_DATA(0), 0, 13, 0x11},
        {"32-bit", true, false, 0xfff, SEL_CODE(0), 0, 13, 8},
        {"both", true, true, 0xfff, SEL_TEST, 1, 13, 0x81},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        unsigned vector = list[i].fault ? 6 : VECTOR;
        if (list[i].wide)
            stage_long(s, 0);
        else
            stage_protected(s, 0);
        stage_descriptor(s, SEL_TEST, D_FLAT | D_P | D_TYPE(T_CODE) | D_L | D_DB);
        stage_gate(s, vector, 14, 3, list[i].selector, HANDLER);
        stage_put(s, HANDLER, 0xf4, 1);
        stage_code(s, list[i].fault ? "\x0f\x0b" : "\xcd\x20", 2);
        s->cpu.idtr.limit = (uint16_t)list[i].idt_limit;
        struct outcome o = stage_run(s, 0);
        if (o.vector != list[i].vector || o.code != list[i].code)
            fail_msg("%s, case %u: vector %d code %x", list[i].name, i, o.vector, o.code);
    }
    stage_free(s);
}

/* ---- Call gates ---- */

struct call {
    bool wide, jump, gate_present, code_present, conforming;
    unsigned cpl, rpl, gate_dpl, code_dpl;
};

static struct expected through_gate(const struct call *c)
{
    if (c->gate_dpl < c->cpl || c->gate_dpl < c->rpl)
        return (struct expected){13, SEL_TEST, 0};
    if (!c->gate_present)
        return (struct expected){11, SEL_TEST, 0};
    bool inner = !c->conforming && c->code_dpl < c->cpl;
    if (c->code_dpl > c->cpl || (c->jump && inner))
        return (struct expected){13, SEL_TEST + 16, 0};
    if (!c->code_present)
        return (struct expected){11, SEL_TEST + 16, 0};
    return (struct expected){DONE, 0, inner ? c->code_dpl : c->cpl};
}

static void set_up_call(struct stage *s, const struct call *c)
{
    if (c->wide)
        stage_long(s, c->cpl);
    else
        stage_protected(s, c->cpl);
    uint64_t target = HANDLER | (uint64_t)(SEL_TEST + 16) << 16;
    stage_descriptor(s, SEL_TEST, target | D_TYPE(12) | D_DPL(c->gate_dpl) | (c->gate_present ? D_P : 0));
    stage_descriptor(s, SEL_TEST + 16,
                     D_FLAT | D_TYPE(c->conforming ? 0x1e : 0x1a) | D_DPL(c->code_dpl) | (c->wide ? D_L : D_DB) |
                         (c->code_present ? D_P : 0));
    stage_put(s, STAGE_DATA + 4, SEL_TEST | c->rpl, 2);
    stage_code(s, c->jump ? "\xff\x2e" : "\xff\x1e", 2); /* through memory at RSI */
    s->cpu.gprs[GPR_RSI] = STAGE_DATA;
    stage_put(s, HANDLER, 0xf4, 1);
}

static void check_call(struct stage *s, const struct call *c, unsigned n, unsigned cpl, uint64_t sp)
{
    unsigned size = c->wide ? 8 : 4, words = c->jump ? 0 : cpl < c->cpl ? 4 : 2;
    uint64_t top = !c->jump && cpl < c->cpl ? STAGE_KSTACK - 0x2000 * cpl : STAGE_STACK;
    uint64_t values[4] = {STAGE_CODE + 2, c->wide ? SEL_CODE64(c->cpl) : SEL_CODE(c->cpl), STAGE_STACK,
                          SEL_DATA(c->cpl)};
    if (sp != top - words * size)
        fail_msg("call %u: the stack pointer is %llx", n, (unsigned long long)sp);
    for (unsigned i = 0; i < words; i++)
        if (stage_get(s, sp + i * size, size) != values[i])
            fail_msg("call %u: word %u is %llx", n, i, (unsigned long long)stage_get(s, sp + i * size, size));
}

static void test_call_gates(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 1u << 13; n++) {
        struct call c = {n & 1,      n >> 1 & 1, n >> 2 & 1, n >> 3 & 1, n >> 4 & 1,
                         n >> 5 & 3, n >> 7 & 3, n >> 9 & 3, n >> 11 & 3};
        struct expected want = through_gate(&c);
        set_up_call(s, &c);
        struct outcome o = stage_run(s, HANDLER);
        if (o.vector != want.vector || (want.vector != DONE && o.code != want.code))
            fail_msg("call %u: wide %u jump %u cpl %u rpl %u gate dpl %u code dpl %u conforming %u: vector %d code %x, "
                     "not %d code %x",
                     n, c.wide, c.jump, c.cpl, c.rpl, c.gate_dpl, c.code_dpl, c.conforming, o.vector, o.code,
                     want.vector, want.code);
        if (want.vector == DONE)
            check_call(s, &c, n, want.cpl, want.cpl ? o.sp : s->cpu.gprs[GPR_RSP]);
    }
    stage_free(s);
}

/* ---- Faults while an event is delivered: volume 3, table 6-5 ---- */

enum first { FIRST_DE, FIRST_UD, FIRST_NP, FIRST_SS, FIRST_GP, FIRST_PF, FIRST_INT, FIRSTS };
enum second { SECOND_GP, SECOND_NP, SECOND_TS, SECOND_SS, SECOND_PF, SECONDS };

static const struct {
    const char *code;
    uint8_t vector;
    char kind; /* b(enign) c(ontributory) p(age fault) */
} firsts[FIRSTS] = {
    [FIRST_DE] = {"\x31\xc9\xf7\xf1", 0, 'c'},       [FIRST_UD] = {"\x0f\x0b\xf4\xf4", 6, 'b'},
    [FIRST_NP] = {"\x8e\xd8\xf4\xf4", 11, 'c'},      [FIRST_SS] = {"\x8e\xd0\xf4\xf4", 12, 'c'},
    [FIRST_GP] = {"\x0f\x22\xc0\xf4", 13, 'c'},      [FIRST_PF] = {"\x8b\x06\xf4\xf4", 14, 'p'},
    [FIRST_INT] = {"\xcd\x20\xf4\xf4", VECTOR, 'b'},
};

/* Makes the delivery through gate `vector` fail. */
static void spoil(struct stage *s, unsigned vector, enum second how)
{
    uint64_t gate = STAGE_IDT + 16 * vector;
    if (how == SECOND_GP)
        s->ram.bytes[gate + 5] = 0x8c; /* a call gate */
    else if (how == SECOND_NP)
        s->ram.bytes[gate + 5] &= 0x7f;
    else
        s->ram.bytes[gate + 4] = how == SECOND_TS ? 7 : how == SECOND_SS ? 2 : 3; /* IST */
}

static void set_up_double(struct stage *s, enum first first, enum second second)
{
    stage_long(s, 0);
    stage_descriptor(s, SEL_TEST, D_FLAT | D_TYPE(T_DATA) | D_DB); /* not present */
    s->cpu.gprs[GPR_RAX] = first == FIRST_GP ? UINT64_MAX : SEL_TEST;
    s->cpu.gprs[GPR_RSI] = 0x40000000;
    stage_code(s, firsts[first].code, 4);
    s->cpu.tr.limit = 0x53; /* without IST 7 */
    stage_put(s, STAGE_TSS + 0x24 + 8, UINT64_C(0x900000000000), 8);
    stage_put(s, STAGE_TSS + 0x24 + 16, 0x40000000, 8);
    spoil(s, firsts[first].vector, second);
}

static void test_double_faults(void **state)
{
    (void)state;
    static const uint8_t vectors[SECONDS] = {13, 11, 10, 12, 14};
    struct stage *s = stage_new();
    for (unsigned first = 0; first < FIRSTS; first++)
        for (unsigned second = 0; second < SECONDS; second++)
            for (unsigned third = 0; third <= SECONDS; third++) {
                char kind = firsts[first].kind;
                bool is_page = second == SECOND_PF, is_double = (kind == 'c' && !is_page) || kind == 'p';
                int want = is_double ? 8 : vectors[second];
                /* A fault whose own gate is spoilt would fail again. */
                bool same = vectors[second] == firsts[first].vector && !is_double;
                if (same || (third < SECONDS && !is_double))
                    continue;
                set_up_double(s, (enum first)first, (enum second)second);
                if (third < SECONDS) {
                    spoil(s, 8, (enum second)third);
                    want = SHUTDOWN;
                }
                struct outcome o = stage_run(s, 0);
                if (o.vector != want)
                    fail_msg("%u, then %u, then %u: vector %d, not %d", firsts[first].vector, vectors[second], third,
                             o.vector, want);
                uint32_t external = first != FIRST_INT, gate = firsts[first].vector * 8u + 2 + external;
                uint32_t codes[SECONDS] = {gate, gate, SEL_TSS + external, external, 2};
                if (want >= 0 && o.code != (want == 8 ? 0 : codes[second]))
                    fail_msg("%u, then %u: code %x", firsts[first].vector, vectors[second], o.code);
                if (want == 8)
                    assert_int_equal(o.rip, STAGE_CODE + (first == FIRST_DE ? 2 : 0));
                if (want >= 0)
                    assert_true(o.rflags & FLAG_RF);
            }
    stage_free(s);
}

/* ---- The inner stack: its faults are handled at level 1, whose stack is good ---- */

static void test_inner_stacks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned tss_limit, selector;
        uint64_t descriptor;
        unsigned esp;
        int vector;
        uint32_t code;
    } list[] = {
        {"good", 0x67, SEL_DATA(0), 0, STAGE_KSTACK, DONE, 0},
        {"TSS limit", 0x08, SEL_DATA(0), 0, STAGE_KSTACK, 10, SEL_TSS},
        {"null", 0x67, 0, 0, STAGE_KSTACK, 10, 0},
        {"beyond the table", 0x67, 0x200, 0, STAGE_KSTACK, 10, 0x200},
        {"RPL", 0x67, SEL_DATA(0) | 1, 0, STAGE_KSTACK, 10, 0x10},
        {"DPL", 0x67, SEL_TEST, D_FLAT | D_P | D_TYPE(T_DATA) | D_DPL(1), STAGE_KSTACK, 10, SEL_TEST},
        {"read-only", 0x67, SEL_TEST, D_FLAT | D_P | D_TYPE(0x11), STAGE_KSTACK, 10, SEL_TEST},
        {"code", 0x67, SEL_TEST, D_FLAT | D_P | D_TYPE(T_CODE), STAGE_KSTACK, 10, SEL_TEST},
        {"not present", 0x67, SEL_TEST, D_FLAT | D_TYPE(T_DATA), STAGE_KSTACK, 12, SEL_TEST},
        {"too small", 0x67, SEL_TEST, D_BYTES(0xfff) | D_P | D_TYPE(T_DATA) | D_DB, 0x1004, 12, SEL_TEST},
        {"exactly", 0x67, SEL_TEST, D_BYTES(0xfff) | D_P | D_TYPE(T_DATA) | D_DB, 0x1000, DONE, 0},
        {"no room", 0x67, SEL_TEST, D_BYTES(0xfff) | D_P | D_TYPE(T_DATA) | D_DB, 0x10, 12, SEL_TEST},
        {"expand-down", 0x67, SEL_TEST, D_BYTES(0xfff) | D_P | D_TYPE(0x17) | D_DB, 0x100c, 12, SEL_TEST},
    };
    struct stage *s = stage_new();
    for (unsigned gate = 0; gate < 2; gate++)
        for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
            stage_protected(s, 3);
            s->cpu.tr.limit = list[i].tss_limit > 0x60 ? 0x67 : list[i].tss_limit;
            stage_put(s, STAGE_TSS + 4, list[i].esp, 4);
            stage_put(s, STAGE_TSS + 8, list[i].selector, 2);
            if (list[i].selector == SEL_TEST)
                stage_descriptor(s, SEL_TEST, list[i].descriptor);
            stage_descriptor(s, SEL_TEST + 8, HANDLER | SEL_CODE(0) << 16 | D_TYPE(12) | D_DPL(3) | D_P);
            stage_gate(s, VECTOR, 14, 3, SEL_CODE(0), HANDLER);
            stage_put(s, HANDLER, 0xf4, 1);
            stage_code(s, gate ? "\x9a\0\0\0\0\x8b\0" : "\xcd\x20", gate ? 7 : 2);
            /* The reporting handlers do not leave level 3: conforming code, which says its vector to a port. */
            stage_descriptor(s, SEL_TEST + 16, D_FLAT | D_P | D_TYPE(0x1e) | D_DB);
            for (unsigned v = 8; v < 14; v++) {
                stage_gate(s, v, 14, 3, SEL_TEST + 16, HANDLER + 16 * v);
                /* mov $v, %al; out %al, $0xe9 */
                stage_put(s, HANDLER + 16 * v, 0xe9e600b0 | v << 8, 4);
            }
            s->cpu.rflags |= FLAG_IOPL3;
            s->stop_at_write = true;
            struct outcome o = stage_run(s, 0);
            s->stop_at_write = false;
            int vector = s->writes ? (int)s->written[0] : s->cpu.rip == HANDLER + 1 ? DONE : o.vector;
            uint32_t code = s->writes ? (uint32_t)stage_get(s, s->cpu.gprs[GPR_RSP], 4) : 0;
            /* A call through a gate pushes four words, an interrupt five. */
            if (list[i].esp == 0x10 && gate)
                continue;
            if (vector != list[i].vector || code != list[i].code)
                fail_msg("%s, by %s: vector %d code %x", list[i].name, gate ? "call" : "interrupt", vector, code);
        }
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delivery),      cmocka_unit_test(test_gate_selectors), cmocka_unit_test(test_call_gates),
        cmocka_unit_test(test_double_faults), cmocka_unit_test(test_inner_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
