/*
 * Paging as SDM volume 3, chapter 4 has it, against a model of its rules that knows nothing of the engine.
 *
 * 32-bit paging and PAE: every combination of P, R/W, U/S and NX at each level, for 4 KiB and large pages, at levels 0
 * and 3, for reads, writes and fetches, under every setting of CR0.WP, CR4.SMEP, CR4.SMAP with AC, and EFER.NXE.
 * 4-level paging: every combination at all four levels with settings that vary, and at each level alone with every
 * setting. Compared: success or #PF, its error code and CR2, and the accessed and dirty bits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

enum form { FORM_32, FORM_PAE, FORM_4LEVEL };
static const char *const form_names[] = {"32-bit", "PAE", "4-level"};

enum access { READ, WRITE, FETCH };

/* What a case varies. */
struct setting {
    enum form form;
    bool large;
    unsigned cpl;
    enum access access;
    bool wp, smep, smap, ac, nxe;
    unsigned rights[4];   /* of each level from the top, RIGHT_ bits */
    uint64_t reserved[4]; /* other bits to set there */
};

enum { RIGHT_P = 1, RIGHT_RW = 2, RIGHT_US = 4, RIGHT_NX = 8 };

#define ENTRY_NX (UINT64_C(1) << 63)
#define ENTRY_PS 0x80u
#define ENTRY_A  0x20u
#define ENTRY_D  0x40u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

/* The tested page: the first of the second entry of the top table; its tables are those of the environment + 0x8000. */
#define TEST_TABLES (STAGE_TABLES + 0x8000)
#define TEST_PAGE   0x80000 /* 4 KiB pages are there; a large one is at physical 0, so its linear address counts */
#define OFFSET      0x123u

static unsigned level_count(const struct setting *t)
{
    unsigned all = t->form == FORM_4LEVEL ? 4 : 2;
    return t->large ? all - 1 : all;
}

/* ---- The model: SDM volume 3, 4.3 to 4.8 ---- */

struct expected {
    bool fault;
    uint32_t code;
};

/* 4.6.1: whether an access is allowed, given the rights of all levels together. */
static bool allowed(const struct setting *t, bool w, bool u, bool nx)
{
    if (t->access == FETCH && nx)
        return false;
    if (t->cpl == 3)
        return u && (t->access != WRITE || w);
    if (u && t->access == FETCH)
        return !t->smep;
    if (u && t->smap && !t->ac)
        return false;
    return t->access != WRITE || w || !t->wp;
}

static struct expected model(const struct setting *t)
{
    bool has_nx = t->form != FORM_32, w = true, u = true, nx = false;
    /* 4.7: the parts of the error code that the access alone decides. */
    uint32_t code = (t->access == WRITE ? 2 : 0) | (t->cpl == 3 ? 4 : 0);
    if (t->access == FETCH && (t->smep || (has_nx && t->nxe)))
        code |= 16;
    for (unsigned i = 0; i < level_count(t); i++) {
        unsigned r = t->rights[i];
        if (!(r & RIGHT_P))
            return (struct expected){true, code};
        if (t->reserved[i] || (has_nx && (r & RIGHT_NX) && !t->nxe))
            return (struct expected){true, code | 1 | 8};
        w &= (r & RIGHT_RW) != 0;
        u &= (r & RIGHT_US) != 0;
        nx |= has_nx && (r & RIGHT_NX);
    }
    return (struct expected){!allowed(t, w, u, nx), code | 1};
}

/* ---- The machine ---- */

static unsigned entry_size(const struct setting *t)
{
    return t->form == FORM_32 ? 4 : 8;
}

static uint64_t entry_at(const struct setting *t, unsigned level)
{
    /* The top table is the environment's own; PAE's has pointers without rights above it. */
    if (t->form == FORM_4LEVEL)
        return level == 0 ? STAGE_TABLES + 8 : TEST_TABLES + 0x1000 * level;
    if (t->form == FORM_32 && level == 0)
        return STAGE_TABLES + 4;
    return TEST_TABLES + 0x1000 * level;
}

static uint64_t test_linear(const struct setting *t)
{
    uint64_t base = t->form == FORM_32    ? UINT64_C(1) << 22
                    : t->form == FORM_PAE ? UINT64_C(1) << 30
                                          : UINT64_C(1) << 39;
    return base + (t->large ? TEST_PAGE : 0) + OFFSET;
}

static uint64_t entry_bits(const struct setting *t, unsigned level)
{
    unsigned r = t->rights[level];
    bool leaf = level + 1 == level_count(t);
    uint64_t next = leaf ? (t->large ? ENTRY_PS : TEST_PAGE) : entry_at(t, level + 1) & ~UINT64_C(0xfff);
    uint64_t nx = (r & RIGHT_NX) && t->form != FORM_32 ? ENTRY_NX : 0;
    return next | (r & 7) | nx | t->reserved[level];
}

/* Maps the low MiB for the code and the handlers: for the user, whom only the code concerns, and for the supervisor. */
static void map_environment(struct stage *s, const struct setting *t)
{
    unsigned size = entry_size(t), levels = t->form == FORM_4LEVEL ? 4 : t->form == FORM_PAE ? 3 : 2;
    unsigned top = t->form == FORM_PAE ? 1 : 7;
    for (unsigned i = 0; i + 1 < levels; i++)
        stage_put(s, STAGE_TABLES + 0x1000 * i, (STAGE_TABLES + 0x1000 * (i + 1)) | (i ? 7 : top), size);
    uint64_t table = STAGE_TABLES + 0x1000 * (levels - 1);
    for (unsigned page = 0; page < STAGE_RAM >> 12; page++) {
        bool user = t->cpl == 3 && page >= STAGE_CODE >> 12 && page < STAGE_STACK >> 12;
        stage_put(s, table + size * page, page << 12 | (user ? 7 : 3), size);
    }
    if (t->form == FORM_PAE)
        stage_put(s, STAGE_TABLES + 8, TEST_TABLES | 1, 8);
}

static void set_processor(struct stage *s, const struct setting *t)
{
    struct cpu_state *c = &s->cpu;
    if (t->form == FORM_4LEVEL)
        stage_long(s, t->cpl);
    else
        stage_protected(s, t->cpl);
    memset(s->ram.bytes + STAGE_TABLES, 0, 0x14000);
    c->cr3 = STAGE_TABLES;
    c->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG | (t->wp ? CR0_WP : 0);
    c->cr4 = (t->form == FORM_32 ? CR4_PSE_ : CR4_PAE) | (t->smep ? CR4_SMEP : 0) | (t->smap ? CR4_SMAP : 0);
    c->efer = (t->form == FORM_4LEVEL ? EFER_LME | EFER_LMA : 0) | (t->nxe ? EFER_NXE : 0);
    c->rflags = 2 | (t->ac ? FLAG_AC : 0);
    c->gprs[GPR_RSI] = test_linear(t);
}

static void complain(const struct setting *t, const char *what, uint64_t got, uint64_t want)
{
    fail_msg(
        "%s%s cpl %u access %u wp %u smep %u smap %u ac %u nxe %u rights %x %x %x %x reserved %llx %llx %llx %llx: "
        "%s is %llx, not %llx",
        form_names[t->form], t->large ? " large" : "", t->cpl, t->access, t->wp, t->smep, t->smap, t->ac, t->nxe,
        t->rights[0], t->rights[1], t->rights[2], t->rights[3], (unsigned long long)t->reserved[0],
        (unsigned long long)t->reserved[1], (unsigned long long)t->reserved[2], (unsigned long long)t->reserved[3],
        what, (unsigned long long)got, (unsigned long long)want);
}

/* 4.8: what is used is accessed, and the page written is dirty; nothing else is dirty. After a fault, entries that were
 * used may be accessed. */
static void check_bits(const struct stage *s, const struct setting *t, bool fault)
{
    unsigned levels = level_count(t);
    for (unsigned i = 0; i < levels; i++) {
        uint64_t got = stage_get(s, entry_at(t, i), entry_size(t)), want = entry_bits(t, i);
        if (fault)
            got &= ~(uint64_t)ENTRY_A;
        else
            want |= ENTRY_A | (t->access == WRITE && i + 1 == levels ? ENTRY_D : 0);
        if (got != want)
            complain(t, "entry", got, want);
    }
}

static void run_case(struct stage *s, const struct setting *t)
{
    static const char *const code[] = {"\x8b\x06\xcc", "\x89\x06\xcc", "\xff\xe6\xcc"};
    struct expected want = model(t);
    uint64_t linear = test_linear(t);
    set_processor(s, t);
    map_environment(s, t);
    for (unsigned i = 0; i < level_count(t); i++)
        stage_put(s, entry_at(t, i), entry_bits(t, i), entry_size(t));
    stage_put(s, TEST_PAGE + OFFSET, 0xcc, 1);
    stage_code(s, code[t->access], 3);
    s->cpu.gprs[GPR_RAX] = 0xcccccccc;
    struct outcome o = stage_run(s, 0);
    if (o.vector != (want.fault ? 14 : 3))
        complain(t, "the vector", (uint64_t)(int64_t)o.vector, want.fault ? 14 : 3);
    if (want.fault && o.code != want.code)
        complain(t, "the error code", o.code, want.code);
    if (want.fault && s->cpu.cr2 != linear)
        complain(t, "CR2", s->cpu.cr2, linear);
    uint64_t rip = t->access != FETCH ? STAGE_CODE + (want.fault ? 0 : 3) : linear + !want.fault;
    if (o.rip != rip)
        complain(t, "RIP", o.rip, rip);
    check_bits(s, t, want.fault);
}

/* Setting `n` of 192: level, access, and the five switches. */
static void choose_setting(struct setting *t, unsigned n)
{
    t->cpl = n & 1 ? 3 : 0;
    t->wp = n >> 1 & 1;
    t->smep = n >> 2 & 1;
    t->smap = n >> 3 & 1;
    t->ac = n >> 4 & 1;
    t->nxe = n >> 5 & 1;
    t->access = (enum access)(n >> 6);
}

#define SETTINGS 192

static void every_combination(enum form form, unsigned rights)
{
    struct stage *s = stage_new();
    for (unsigned large = 0; large < 2; large++)
        for (unsigned n = 0; n < SETTINGS; n++)
            for (unsigned top = 0; top < rights; top++)
                for (unsigned leaf = 0; leaf < (large ? 1 : rights); leaf++) {
                    struct setting t = {.form = form, .large = large, .rights = {top, leaf}};
                    choose_setting(&t, n);
                    run_case(s, &t);
                }
    stage_free(s);
}

static void test_32bit(void **state)
{
    (void)state;
    every_combination(FORM_32, 8);
}

static void test_pae(void **state)
{
    (void)state;
    every_combination(FORM_PAE, 16);
}

static void test_4level_one_level(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned large = 0; large < 2; large++)
        for (unsigned n = 0; n < SETTINGS; n++)
            for (unsigned level = 0; level < (large ? 3 : 4); level++)
                for (unsigned rights = 0; rights < 16; rights++) {
                    struct setting t = {.form = FORM_4LEVEL, .large = large, .rights = {7, 7, 7, 7}};
                    choose_setting(&t, n);
                    t.rights[level] = rights;
                    run_case(s, &t);
                }
    stage_free(s);
}

static void test_4level_all_levels(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned combination = 0; combination < 0x10000; combination++) {
        struct setting t = {.form = FORM_4LEVEL};
        /* A multiplier that is prime to 192 goes through all settings. */
        choose_setting(&t, (combination * 67 + combination / SETTINGS) % SETTINGS);
        for (unsigned i = 0; i < 4; i++)
            t.rights[i] = combination >> 4 * i & 15;
        t.large = combination % 3 == 0;
        run_case(s, &t);
    }
    stage_free(s);
}

/* The bits that must be zero, SDM volume 3, figures 4-4, 4-7 and 4-11, with 40 bits of physical address and neither
 * PSE-36 nor 1 GiB pages. */
static uint64_t reserved_bits(const struct setting *t, unsigned level)
{
    uint64_t address = UINT64_C(0x000fff0000000000);
    bool leaf = level + 1 == level_count(t);
    if (t->form == FORM_32)
        return t->large ? 0x3fe000 : 0;
    uint64_t bits = address | (t->form == FORM_PAE ? UINT64_C(0x7ff0000000000000) : 0);
    if (t->form == FORM_4LEVEL && level < 2)
        bits |= ENTRY_PS;
    if (t->large && leaf)
        bits |= 0x1fe000;
    return bits;
}

/* Each reserved bit by itself; with P clear none matters. */
static void test_reserved_bits(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned form = 0; form < 3; form++)
        for (unsigned large = 0; large < 2; large++)
            for (unsigned level = 0; level < 4; level++)
                for (unsigned bit = 0; bit < 64; bit++)
                    for (unsigned n = 0; n < SETTINGS; n += 13) {
                        struct setting t = {.form = (enum form)form, .large = large, .rights = {7, 7, 7, 7}};
                        if (level >= level_count(&t) || !(reserved_bits(&t, level) >> bit & 1))
                            continue;
                        choose_setting(&t, n);
                        t.reserved[level] = UINT64_C(1) << bit;
                        run_case(s, &t);
                        t.rights[level] = 6;
                        run_case(s, &t);
                    }
    stage_free(s);
}

/* 4.4.1: loading CR3 with PAE paging checks the four pointers; one with a reserved bit is #GP(0), and CR3 stays. */
static void test_pae_pointers(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned entry = 0; entry < 4; entry++)
        for (unsigned bit = 1; bit < 64; bit++)
            for (unsigned present = 0; present < 2; present++) {
                struct setting t = {.form = FORM_PAE, .rights = {7, 7}};
                bool reserved = bit >= 40 || bit == 1 || bit == 2 || (bit >= 5 && bit <= 8);
                set_processor(s, &t);
                map_environment(s, &t);
                uint64_t root = STAGE_TABLES + 0x7000;
                for (unsigned i = 0; i < 4; i++)
                    stage_put(s, root + 8 * i, (STAGE_TABLES + 0x1000) | 1, 8);
                uint64_t other = entry ? UINT64_C(1) << bit : 0;
                if (!reserved && !entry)
                    continue;
                stage_put(s, root + 8 * entry, (entry ? other : UINT64_C(1) << bit) | present, 8);
                if (!present && !entry)
                    continue; /* the environment itself would be gone */
                s->cpu.gprs[GPR_RAX] = root;
                struct outcome o = stage_run_code(s, "\x0f\x22\xd8\xf4", 4);
                int want = reserved && present ? 13 : DONE;
                if (o.vector != want || s->cpu.cr3 != (want == 13 ? (uint64_t)STAGE_TABLES : root))
                    fail_msg("entry %u bit %u present %u: vector %d, cr3 %llx", entry, bit, present, o.vector,
                             (unsigned long long)s->cpu.cr3);
            }
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_32bit),
        cmocka_unit_test(test_pae),
        cmocka_unit_test(test_4level_one_level),
        cmocka_unit_test(test_4level_all_levels),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_pae_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
