/*
 * Is the soft engine's processor the host's? See docs/soft-engine.md, "How its truth is shown".
 *
 *     truth [--seed N] [--cases N | --endless] [--case N] [--family WORD]
 *
 * Without options: a million cases and more of seed 1, the same each time. --case runs one and shows it.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "tests/soft/truth.h"

#define DEFAULT_CASES UINT64_C(1200000)
/* Under the sanitizers the engine is slow, and what they look for needs fewer. */
#define SANITIZED_CASES UINT64_C(60000)
#define FAMILIES        40
#define SHOWN_PER_ROW   1
#define RF              0x10000u
#define FSW_PE          0x20u
#define FSW_ES_B        0x8080u
#define FSW_C1          0x200u

struct family {
    const char *name;
    uint64_t cases, failures;
    uint64_t ended[32]; /* by vector */
};

struct truth {
    struct truth_rows rows;
    struct family families[FAMILIES];
    unsigned family_count;
    unsigned shown[TRUTH_ROWS];
    uint64_t failed_rows;
    struct truth_native *native;
    struct truth_soft *soft;
    struct truth_memory before, native_memory, soft_memory, exchanged_memory;
    struct truth_case c;
    struct truth_state native_after, soft_after;
    char words[512]; /* what differs */
    const char *program;
    bool any_stack; /* the host can start a case whose stack pointer is not canonical */
    uint64_t left_out;
};

static struct family *family_of(struct truth *t, const char *name)
{
    for (unsigned i = 0; i < t->family_count; i++)
        if (strcmp(t->families[i].name, name) == 0)
            return &t->families[i];
    CHECK(t->family_count < FAMILIES);
    t->families[t->family_count].name = name;
    return &t->families[t->family_count++];
}

static void differ(struct truth *t, const char *what)
{
    size_t used = strlen(t->words);
    snprintf(t->words + used, sizeof t->words - used, "%s%s", used ? ", " : "", what);
}

/* RCPPS and RSQRTPS promise a relative error of at most 1.5 * 2^-12 (SDM vol. 2), and each maker has its own. */
static bool lane_is_near(const uint8_t *a, const uint8_t *b)
{
    float x, y;
    memcpy(&x, a, 4);
    memcpy(&y, b, 4);
    if (memcmp(a, b, 4) == 0)
        return true;
    return isfinite(x) && isfinite(y) && fabsf(x - y) <= 3.0f * 0x1p-12f * fabsf(y);
}

static bool xmm_same(const struct truth_case *c, const uint8_t *a, const uint8_t *b)
{
    if (memcmp(a, b, 16) == 0)
        return true;
    if (!c->approximate)
        return false;
    for (unsigned lane = 0; lane < 16; lane += 4)
        if (!lane_is_near(a + lane, b + lane))
            return false;
    return true;
}

/* The transcendental functions promise an error of less than one unit in the last place (SDM vol. 1, 8.3.10): two
 * processors are within two. Numbers of one sign are ordered as their exponents and significands are; not so the
 * least of a binade and its neighbour, which have the integer bit between them. */
static bool st_is_near(const uint8_t *a, const uint8_t *b)
{
    uint64_t m, n;
    uint16_t e, f;
    memcpy(&m, a, 8);
    memcpy(&n, b, 8);
    memcpy(&e, a + 8, 2);
    memcpy(&f, b + 8, 2);
    if ((e & 0x7fff) == 0x7fff || (f & 0x7fff) == 0x7fff || (e ^ f) & 0x8000)
        return false;
    __int128 distance = ((__int128)e << 63 | (m & INT64_MAX)) - ((__int128)f << 63 | (n & INT64_MAX));
    return distance >= -2 && distance <= 2;
}

static void compare_x87(struct truth *t)
{
    const struct truth_state *n = &t->native_after, *s = &t->soft_after;
    char text[64];
    if (n->fcw != s->fcw)
        differ(t, "fcw");
    unsigned status = n->fsw ^ s->fsw;
    /* Some set PE for exact results too, and then it may be unmasked. */
    if (t->c.function)
        status &= status & FSW_PE ? ~(FSW_C1 | FSW_PE | FSW_ES_B) : ~FSW_C1;
    if (status)
        differ(t, "fsw");
    if (n->ftw != s->ftw)
        differ(t, "ftw");
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(n->st[i], s->st[i], 10) != 0 && !(t->c.function && st_is_near(n->st[i], s->st[i]))) {
            snprintf(text, sizeof text, "st%u", i);
            differ(t, text);
        }
}

/* The soft engine reads what RSI points to first. The fault of a processor that begins with RDI must be the one that
 * comes with the two exchanged, after as many rounds: then it is taken for the soft engine's. */
static void read_the_other_first(struct truth *t)
{
    struct truth_state *n = &t->native_after, *s = &t->soft_after, other;
    struct truth_case exchanged = t->c;

    if (!t->c.any_operand || n->vector == 3 || s->vector == 3)
        return;
    memset(&other, 0, sizeof other);
    exchanged.before.gprs[6] = t->c.before.gprs[7];
    exchanged.before.gprs[7] = t->c.before.gprs[6];
    if (!truth_soft_run(t->soft, &exchanged, &other, &t->exchanged_memory, t->words, sizeof t->words) ||
        other.vector != n->vector || other.gprs[1] != s->gprs[1] || other.error_code != n->error_code ||
        (n->vector == 14 && other.cr2 != n->cr2))
        return;
    s->vector = other.vector;
    s->error_code = other.error_code;
    s->cr2 = other.cr2;
}

static void compare_registers(struct truth *t)
{
    const struct truth_state *n = &t->native_after, *s = &t->soft_after;
    char text[64];
    bool either = t->c.two_faults && n->vector != 3 && s->vector != 3;
    if (n->vector != s->vector && !either)
        differ(t, "vector");
    if (n->rip != s->rip)
        differ(t, "rip");
    bool fault = n->vector == 14 || n->vector == 13 || n->vector == 12 || n->vector == 10 || n->vector == 11;
    /* Of a page that belongs to the kernel Linux says that it is present, whether it is or not. */
    uint64_t hidden = n->vector == 14 && n->cr2 >> 63;
    if (fault && !either && (n->error_code ^ s->error_code) & ~hidden)
        differ(t, "error code");
    if (n->vector == 14 && !either && (t->c.fault_page ? n->cr2 >> 12 != s->cr2 >> 12 : n->cr2 != s->cr2))
        differ(t, "cr2");
    for (unsigned i = 0; i < 16; i++)
        if (n->gprs[i] != s->gprs[i]) {
            snprintf(text, sizeof text, "gpr %u", i);
            differ(t, text);
        }
    if ((n->rflags ^ s->rflags) & ~(uint64_t)t->c.undefined)
        differ(t, "rflags");
    for (unsigned i = 0; i < 16; i++)
        if (!xmm_same(&t->c, n->xmm[i], s->xmm[i])) {
            snprintf(text, sizeof text, "xmm%u", i);
            differ(t, text);
        }
    if (n->mxcsr != s->mxcsr)
        differ(t, "mxcsr");
    if (!t->c.ignore_x87)
        compare_x87(t);
}

static void compare_memory(struct truth *t)
{
    if (t->c.fault_writes && t->native_after.vector != 3)
        memcpy(t->soft_memory.stack, t->native_memory.stack, STACK_SIZE);
    for (unsigned i = 0; i < t->c.hole_count; i++)
        for (unsigned at = 0; at < t->c.holes[i].length; at++) {
            uint8_t *to = truth_at(&t->soft_memory, t->c.holes[i].address + at, 1);
            const uint8_t *from = truth_at(&t->native_memory, t->c.holes[i].address + at, 1);
            if (to)
                *to = *from;
        }
    if (memcmp(&t->soft_memory, &t->native_memory, sizeof t->soft_memory) != 0)
        differ(t, "memory");
}

static void show_memory(const struct truth *t)
{
    const uint8_t *b = (const uint8_t *)&t->before, *n = (const uint8_t *)&t->native_memory;
    const uint8_t *s = (const uint8_t *)&t->soft_memory;
    unsigned shown = 0;
    for (unsigned i = 0; i < sizeof t->before && shown < 24; i++)
        if (n[i] != s[i] || (n[i] != b[i] && shown < 8)) {
            uint64_t address = i < DATA_SIZE ? DATA_BASE + i : STACK_BASE + (i - DATA_SIZE);
            printf("  [%llx]  before %02x  native %02x  soft %02x%s\n", (unsigned long long)address, b[i], n[i], s[i],
                   n[i] != s[i] ? "  <" : "");
            shown++;
        }
}

static void show_word(const char *name, uint64_t before, uint64_t native, uint64_t soft, bool always)
{
    if (always || before != native || native != soft)
        printf("  %-6s before %016llx  native %016llx  soft %016llx%s\n", name, (unsigned long long)before,
               (unsigned long long)native, (unsigned long long)soft, native != soft ? "  <" : "");
}

static void hex(char *text, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[count - 1 - i]);
}

static void show_wide(const char *name, const uint8_t *before, const uint8_t *native, const uint8_t *soft,
                      unsigned count, bool always)
{
    char b[40], n[40], s[40];
    hex(b, before, count);
    hex(n, native, count);
    hex(s, soft, count);
    if (always || strcmp(b, n) != 0 || strcmp(n, s) != 0)
        printf("  %-6s before %s  native %s  soft %s%s\n", name, b, n, s, strcmp(n, s) != 0 ? "  <" : "");
}

static void show(const struct truth *t, bool all)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct truth_state *b = &t->c.before, *n = &t->native_after, *s = &t->soft_after;
    char name[8];
    printf("  code at %llx:", (unsigned long long)t->c.start);
    for (unsigned i = 0; i < t->c.length; i++)
        printf(" %02x", t->c.code[i]);
    printf("\n  ended by: native #%u error %llx cr2 %llx; soft #%u error %llx cr2 %llx\n", n->vector,
           (unsigned long long)n->error_code, (unsigned long long)n->cr2, s->vector, (unsigned long long)s->error_code,
           (unsigned long long)s->cr2);
    show_word("rip", b->rip, n->rip, s->rip, true);
    show_word("rflags", b->rflags, n->rflags, s->rflags, true);
    for (unsigned i = 0; i < 16; i++)
        show_word(names[i], b->gprs[i], n->gprs[i], s->gprs[i], all || t->c.row->values == V_INT);
    show_word("fcw", b->fcw, n->fcw, s->fcw, all);
    show_word("fsw", b->fsw, n->fsw, s->fsw, all);
    show_word("ftw", b->ftw, n->ftw, s->ftw, all);
    show_word("mxcsr", b->mxcsr, n->mxcsr, s->mxcsr, all);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "st%u", i);
        show_wide(name, b->st[i], n->st[i], s->st[i], 10, all || t->c.row->values == V_F80);
    }
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "xmm%u", i);
        show_wide(name, b->xmm[i], n->xmm[i], s->xmm[i], 16, all || t->c.row->size == 16);
    }
    show_memory(t);
}

static bool is_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* Whether user code can be entered with a stack pointer that is not canonical: IRET lets it, but a kernel may return
 * by another way (FRED's ERETU raises #GP). */
static bool starts_with_any_stack(struct truth *t)
{
    t->c = (struct truth_case){.row = t->rows.rows, .memory = &t->before, .start = CODE_BASE, .code = {0xcc}};
    t->c.length = 1;
    t->c.before = (struct truth_state){.rip = CODE_BASE, .rflags = 0x202, .fcw = 0x37f, .mxcsr = 0x1f80};
    t->c.before.gprs[4] = UINT64_C(0x900000000000);
    truth_native_run(t->native, &t->c, &t->native_after, &t->native_memory);
    return t->native_after.vector == 3;
}

/* Runs case `number`; false when the two sides differ, in what t->words says. */
static bool run_case(struct truth *t, uint64_t seed, uint64_t number)
{
    t->words[0] = 0;
    t->c.memory = &t->before;
    truth_generate(&t->c, &t->rows, seed, number);
    if (t->c.skip)
        return true;
    if (!t->any_stack && !is_canonical(t->c.before.gprs[4])) {
        t->left_out++;
        t->c.skip = true;
        return true;
    }
    memset(&t->native_after, 0, sizeof t->native_after);
    memset(&t->soft_after, 0, sizeof t->soft_after);
    truth_native_run(t->native, &t->c, &t->native_after, &t->native_memory);
    if (!truth_soft_run(t->soft, &t->c, &t->soft_after, &t->soft_memory, t->words, sizeof t->words))
        return false;
    read_the_other_first(t);
    compare_registers(t);
    compare_memory(t);
    struct family *family = family_of(t, t->c.row->family);
    family->cases++;
    family->ended[t->native_after.vector & 31]++;
    return t->words[0] == 0;
}

static void fail(struct truth *t)
{
    unsigned row = (unsigned)(t->c.row - t->rows.rows);
    family_of(t, t->c.row->family)->failures++;
    if (t->shown[row]++ >= SHOWN_PER_ROW)
        return;
    t->failed_rows++;
    printf("differs - %s: %s (%02x %x /%d): %s\n", t->c.row->family, t->c.row->name, t->c.row->prefix, t->c.row->opcode,
           t->c.row->digit, t->words);
    printf("  again: %s --seed %llu --case %llu\n", t->program, (unsigned long long)t->c.seed,
           (unsigned long long)t->c.number);
    show(t, false);
}

static int report(const struct truth *t)
{
    int failed = 0;
    for (unsigned i = 0; i < t->family_count; i++) {
        const struct family *f = &t->families[i];
        failed |= f->failures != 0;
        printf("%s - truth: %s: %llu cases, %llu faults, %llu differ\n", f->failures ? "not ok" : "ok", f->name,
               (unsigned long long)f->cases, (unsigned long long)(f->cases - f->ended[3]),
               (unsigned long long)f->failures);
    }
    if (t->left_out)
        printf("# %llu cases left out: this host cannot start with a stack pointer that is not canonical\n",
               (unsigned long long)t->left_out);
    return failed;
}

static struct truth *truth_new(const char *program)
{
    struct truth *t = calloc(1, sizeof *t);
    CHECK(t);
    t->program = program;
    struct truth_gen gen = {.random = 1};
    for (unsigned i = 0; i < sizeof t->rows.pool; i++)
        t->rows.pool[i] = (uint8_t)truth_random(&gen);
    truth_rows_integer(&t->rows);
    truth_rows_special(&t->rows);
    truth_rows_vector(&t->rows);
    truth_rows_x87(&t->rows);
    t->native = truth_native_new();
    t->soft = truth_soft_new();
    t->any_stack = starts_with_any_stack(t);
    return t;
}

static int one(struct truth *t, uint64_t seed, uint64_t number)
{
    bool good = run_case(t, seed, number);
    printf("%s: %s: %s\n", t->c.row->family, t->c.row->name, t->c.skip ? "not to be run" : good ? "agrees" : t->words);
    show(t, true);
    return !good;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},   {"cases", required_argument, NULL, 'n'},
        {"case", required_argument, NULL, 'c'},   {"endless", no_argument, NULL, 'e'},
        {"family", required_argument, NULL, 'f'}, {0}};
    const char *sanitized = getenv("SANITIZED"), *only = NULL;
    uint64_t seed = 1, cases = sanitized && *sanitized == '1' ? SANITIZED_CASES : DEFAULT_CASES;
    struct truth *t = truth_new(argv[0]);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (option == 'n')
            cases = strtoull(optarg, NULL, 0);
        else if (option == 'e')
            cases = UINT64_MAX;
        else if (option == 'f')
            only = optarg;
        else if (option == 'c')
            return one(t, seed, strtoull(optarg, NULL, 0));
        else
            return 2;
    }
    printf("# seed %llu, %u rows\n", (unsigned long long)seed, t->rows.count);
    fflush(stdout);
    for (uint64_t i = 0; i < cases; i++) {
        if (only && !strstr(t->rows.rows[i % t->rows.count].family, only))
            continue;
        /* An interrupt of the host that comes while the case has NT set loses NT (Linux clears it on the way back).
         * Such a difference does not come again. */
        if (!run_case(t, seed, i) && !run_case(t, seed, i))
            fail(t);
    }
    return report(t);
}
