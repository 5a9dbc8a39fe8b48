/* What an observer of the soft engine is told, word for word. That it changes nothing, and is told the same however the
 * run is cut, is for fuzz_soft_run to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/bench_pc.h"

struct told {
    char text[4096];
    size_t length;
};

static __attribute__((format(printf, 2, 3))) void add(void *context, const char *format, ...)
{
    struct told *told = context;
    va_list arguments;
    va_start(arguments, format);
    told->length += (size_t)vsnprintf(told->text + told->length, sizeof told->text - told->length, format, arguments);
    va_end(arguments);
    assert_true(told->length < sizeof told->text);
}

static void instruction(void *context, uint64_t rip, uint64_t tick, uint64_t count)
{
    add(context, "%lx", (unsigned long)rip);
    if (count > 1)
        add(context, "x%lu", (unsigned long)count);
    add(context, "@%lu ", (unsigned long)tick);
}

static void branch(void *context, uint64_t from, uint64_t to)
{
    add(context, "%lx>%lx ", (unsigned long)from, (unsigned long)to);
}

static void memory(void *context, const struct engine_access *access)
{
    if (access->linear != ENGINE_NO_LINEAR)
        add(context, "%c%lx+%u ", access->write ? 'w' : 'r', (unsigned long)access->linear, access->length);
}

static void event(void *context, const struct engine_event *event)
{
    static const char *const sources[] = {"fault", "external", "software"};
    add(context, "%s:%u:%lx>%lx ", sources[event->source], event->vector, (unsigned long)event->from,
        (unsigned long)event->to);
}

static struct pc *run_told(const char *code, size_t length, struct engine_observer observer, struct told *told)
{
    struct pc *pc = pc_new();
    observer.context = told;
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, code, length);
    pc->cpu.gprs[GPR_RSI] = PC_DATA;
    pc->cpu.gprs[GPR_RDI] = PC_DATA + 0x100;
    pc->cpu.gprs[GPR_RCX] = 5;
    pc_start(pc);
    engine_observe(pc->engine, &observer);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    return pc;
}

static void expect(const char *code, size_t length, struct engine_observer observer, const char *text)
{
    struct told told = {0};
    struct pc *pc = run_told(code, length, observer, &told);
    assert_string_equal(told.text, text);
    pc_free(pc);
}

/* rep movsb; call 1f; cmp; je 2f; hlt; 1: ret; 2: ud2 */
#define CODE "\xf3\xa4\xe8\x05\x00\x00\x00\x39\xc0\x74\x02\xf4\xc3\x0f\x0b"

static void test_instructions(void **state)
{
    (void)state;
    expect(CODE, 15, (struct engine_observer){.instruction = instruction},
           "10000x5@0 10002@5 1000c@6 10007@7 10009@8 8060@10 8062@11 8064@12 ");
}

static void test_branches_and_events(void **state)
{
    (void)state;
    expect(CODE, 15, (struct engine_observer){.branch = branch, .event = event},
           "10002>1000c 1000c>10007 10009>1000d fault:6:1000d>8060 ");
}

static void test_software_interrupt(void **state)
{
    (void)state;
    expect("\xcd\x30", 2, (struct engine_observer){.branch = branch, .event = event}, "software:48:10002>8300 ");
}

static void test_accesses(void **state)
{
    (void)state;
    /* push (rsi); pop (rdi); lock incl (rdi); hlt */
    expect("\xff\x36\x8f\x07\xf0\xff\x07\xf4", 8,
           (struct engine_observer){.instruction = instruction, .memory = memory},
           "r20000+8 w3fff8+8 10000@0 r3fff8+8 w20100+8 10002@1 r20100+4 w20100+4 10004@2 10007@3 ");
}

/* An instruction that faults after its first access: only what is done is told. */
static void test_a_fault_between(void **state)
{
    (void)state;
    struct told told = {0};
    struct engine_observer observer = {.context = &told, .instruction = instruction, .memory = memory, .event = event};
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, "\xff\x36", 2); /* push (rsi), with a stack that is not there */
    pc_put64(pc, PC_PT + 8 * 0x30, 0);
    pc->cpu.gprs[GPR_RSI] = PC_DATA;
    pc->cpu.gprs[GPR_RSP] = 0x31000;
    pc_start(pc);
    engine_observe(pc->engine, &observer);
    pc_run(pc, NULL);
    assert_null(strstr(told.text, "r20000"));
    pc_free(pc);
}

static void test_nobody(void **state)
{
    (void)state;
    struct told told = {0};
    struct engine_observer observer = {.instruction = instruction};
    struct pc *pc = run_told(CODE, 15, observer, &told);
    size_t length = told.length;
    engine_observe(pc->engine, NULL);
    pc_start(pc);
    pc_run(pc, NULL);
    assert_int_equal(told.length, length);
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instructions),       cmocka_unit_test(test_branches_and_events),
        cmocka_unit_test(test_software_interrupt), cmocka_unit_test(test_accesses),
        cmocka_unit_test(test_a_fault_between),    cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
