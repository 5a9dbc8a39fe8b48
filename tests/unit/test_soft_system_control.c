/*
 * Control registers, MSRs, fast system calls, the I/O permission bitmap and virtual-8086 mode as the SDM has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/stage.h"

#define GP0 13

/* MOV to CRn of EAX or RAX, then HLT. */
static struct outcome write_control(struct stage *s, unsigned number, uint64_t value)
{
    char code[5] = {0x44, 0x0f, 0x22, (char)(0xc0 | (number & 7) << 3), (char)0xf4};
    s->cpu.gprs[GPR_RAX] = value;
    return stage_run_code(s, number & 8 ? code : code + 1, number & 8 ? 5 : 4);
}

/* CR8 is bits 7 to 4 of the local APIC's task priority, whoever set that (SDM volume 3, 10.8.6). */
static void test_task_priority(void **state)
{
    /* mov cr8, rax; mov rcx, cr8; nop; hlt */
    static const char code[] = "\x44\x0f\x22\xc0\x44\x0f\x20\xc1\x90\xf4";
    struct stage *s = stage_new();
    (void)state;
    stage_long(s, 0);
    s->cpu.gprs[GPR_RAX] = 5;
    assert_int_equal(stage_run_code(s, code, sizeof code - 1).vector, DONE);
    assert_int_equal(s->tpr, 0x50);
    assert_int_equal(s->cpu.gprs[GPR_RCX], 5);
    s->tpr = 0x9c;
    stage_long(s, 0);
    assert_int_equal(stage_run_code(s, code + 4, sizeof code - 5).vector, DONE);
    assert_int_equal(s->cpu.gprs[GPR_RCX], 9);
    stage_free(s);
}

struct control_case {
    bool wide;
    unsigned number;
    uint64_t value;
    int vector;
};

#define CR0_BASE (CR0_PE | CR0_ET | CR0_NE)

static void test_control_registers(void **state)
{
    (void)state;
    static const struct control_case list[] = {
        {false, 0, CR0_BASE & ~CR0_PE, DONE},
        {false, 0, (CR0_BASE & ~CR0_PE) | CR0_PG, GP0},
        {false, 0, CR0_BASE | CR0_NW, GP0},
        {false, 0, CR0_BASE | CR0_CD, DONE},
        {false, 0, CR0_BASE | CR0_CD | CR0_NW, DONE},
        {false, 0, CR0_BASE | 0x1ff0ffc0, DONE}, /* reserved bits are ignored */
        {true, 0, CR0_BASE | CR0_PG, DONE},
        {true, 0, CR0_BASE, GP0},
        {true, 0, CR0_BASE | CR0_PG | UINT64_C(1) << 32, GP0},
        {true, 0, CR0_BASE | CR0_PG | UINT64_C(1) << 63, GP0},
        {false, 2, 0xffffffff, DONE},
        {true, 2, UINT64_MAX, DONE},
        {false, 3, 0xffffffff, DONE},
        {true, 3, STAGE_TABLES | 0xfff, DONE},
        {true, 3, STAGE_TABLES | UINT64_C(1) << 40, GP0},
        {true, 3, STAGE_TABLES | UINT64_C(1) << 51, GP0},
        {true, 3, STAGE_TABLES | UINT64_C(1) << 63, GP0},
        {true, 4, 0, GP0},
        {true, 4, CR4_PAE | UINT64_C(1) << 32, GP0},
        {true, 8, 15, DONE},
        {true, 8, 16, GP0},
        {true, 8, UINT64_C(1) << 63, GP0},
        {false, 1, 0, 6},
        {true, 5, 0, 6},
        {true, 7, 0, 6},
        {true, 9, 0, 6},
        {true, 15, 0, 6},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (unsigned cpl = 0; cpl < 4; cpl++) {
            if (list[i].wide)
                stage_long(s, cpl);
            else
                stage_protected(s, cpl);
            struct outcome o = write_control(s, list[i].number, list[i].value);
            int want = cpl && list[i].vector != 6 ? GP0 : list[i].vector;
            if (o.vector != want || (want == GP0 && (o.code != 0 || o.rip != STAGE_CODE)))
                fail_msg("case %u at level %u: vector %d code %x rip %llx", i, cpl, o.vector, o.code,
                         (unsigned long long)o.rip);
        }
    stage_free(s);
}

/* CR4's bits are those of the features that CPUID tells of, and no others. */
static void test_cr4_bits(void **state)
{
    (void)state;
    static const uint8_t known[] = {2, 3, 4, 5, 7, 9, 10, 16, 20, 21};
    struct stage *s = stage_new();
    for (unsigned bit = 0; bit < 32; bit++) {
        stage_protected(s, 0);
        struct outcome o = write_control(s, 4, UINT64_C(1) << bit);
        int want = memchr(known, (int)bit, sizeof known) ? DONE : GP0;
        if (o.vector != want)
            fail_msg("CR4 bit %u: vector %d", bit, o.vector);
    }
    stage_free(s);
}

/* Activating long mode: SDM volume 3, 9.8.5. */
static void test_entering_long_mode(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 8; n++) {
        bool lme = n & 1, pae = n & 2, tss16 = n & 4;
        if (!lme && tss16)
            continue;
        stage_long(s, 0);
        struct cpu_state tables = s->cpu;
        stage_protected(s, 0);
        s->cpu.cr3 = lme ? tables.cr3 : STAGE_TABLES + 0x2000;
        s->cpu.cr4 = pae ? CR4_PAE : CR4_PSE_;
        s->cpu.efer = lme ? EFER_LME : 0;
        if (tss16)
            s->cpu.tr.attributes = SEGMENT_P | 3;
        if (!lme) { /* a pointer table, or one large page, for the low memory */
            stage_put(s, STAGE_TABLES + 0x2000, pae ? (STAGE_TABLES + 0x4000) | 1 : 0x87, 8);
            stage_put(s, STAGE_TABLES + 0x4000, 0x87, 8);
        }
        struct outcome o = write_control(s, 0, CR0_BASE | CR0_PG);
        bool fine = lme ? pae && !tss16 : true;
        if (o.vector != (fine ? DONE : GP0))
            fail_msg("LME %u PAE %u 16-bit TSS %u: vector %d", lme, pae, tss16, o.vector);
        assert_int_equal((s->cpu.efer & EFER_LMA) != 0, lme && fine);
    }
    stage_free(s);
}

static void test_lmsw(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned value = 0; value < 32; value++) {
        stage_protected(s, 0);
        s->cpu.gprs[GPR_RAX] = value;
        /* lmsw %ax; smsw %ecx; hlt */
        struct outcome o = stage_run_code(s, "\x0f\x01\xf0\x0f\x01\xe1\xf4", 7);
        assert_int_equal(o.vector, DONE);
        /* PE cannot be cleared; only four bits are loaded. */
        assert_int_equal(s->cpu.cr0, CR0_BASE | (value & 15) | CR0_PE);
        assert_int_equal(s->cpu.gprs[GPR_RCX], s->cpu.cr0);
    }
    stage_free(s);
}

#define NOT_CANONICAL UINT64_C(0x0000800000000000)

static void test_msrs(void **state)
{
    (void)state;
    static const struct {
        uint32_t index;
        uint64_t value;
        int vector;
    } list[] = {
        {0xc0000080, EFER_LME | EFER_NXE | EFER_SCE, DONE}, /* LMA is not written */
        {0xc0000080, EFER_NXE, GP0},                        /* LME with paging on */
        {0xc0000080, EFER_LME | 2, GP0},
        {0xc0000080, EFER_LME | UINT64_C(1) << 32, GP0},
        {0xc0000081, UINT64_MAX, DONE},
        {0xc0000082, NOT_CANONICAL, GP0},
        {0xc0000082, ~NOT_CANONICAL + 1, DONE},
        {0xc0000083, NOT_CANONICAL, GP0},
        {0xc0000100, NOT_CANONICAL, GP0},
        {0xc0000101, NOT_CANONICAL, GP0},
        {0xc0000102, NOT_CANONICAL, GP0},
        {0x175, NOT_CANONICAL, GP0},
        {0x176, NOT_CANONICAL, GP0},
        {0x277, 2, GP0},
        {0x277, UINT64_C(3) << 56, GP0},
        {0x277, 8, GP0},
        {0x277, UINT64_C(0x0007040600070406), DONE},
        {0x12345678, 0, GP0},
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (unsigned cpl = 0; cpl < 4; cpl += 3) {
            stage_long(s, cpl);
            s->cpu.gprs[GPR_RCX] = list[i].index;
            s->cpu.gprs[GPR_RAX] = (uint32_t)list[i].value;
            s->cpu.gprs[GPR_RDX] = list[i].value >> 32;
            struct outcome o = stage_run_code(s, "\x0f\x30\xf4", 3);
            int want = cpl ? GP0 : list[i].vector;
            if (o.vector != want || (want == GP0 && o.rip != STAGE_CODE))
                fail_msg("MSR %x, case %u, level %u: vector %d", list[i].index, i, cpl, o.vector);
            assert_true(s->cpu.efer & EFER_LMA);
        }
    stage_free(s);
}

/* ---- SYSCALL SYSRET SYSENTER SYSEXIT ---- */

#define ENTRY (STAGE_CODE + 0x200)

static void test_syscall(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    stage_long(s, 3);
    s->cpu.star = UINT64_C(0x00130008) << 32;
    s->cpu.lstar = ENTRY;
    s->cpu.fmask = 0x4700;
    s->cpu.rflags = 2 | 0x200 | 0x400 | 0x8d5 | FLAG_NT;
    stage_put(s, ENTRY, 0xf4, 1);
    struct outcome o = stage_run_code(s, "\x0f\x05\xf4", 3);
    assert_int_equal(o.vector, DONE);
    assert_int_equal(s->cpu.rip, ENTRY + 1);
    assert_int_equal(s->cpu.gprs[GPR_RCX], STAGE_CODE + 2);
    assert_int_equal(s->cpu.gprs[GPR_R11], 2 | 0x200 | 0x400 | 0x8d5 | FLAG_NT);
    assert_int_equal(s->cpu.rflags, 2 | 0x8d5);
    assert_int_equal(s->cpu.cs.selector, 8);
    assert_int_equal(s->cpu.ss.selector, 16);
    assert_int_equal(s->cpu.gprs[GPR_RSP], STAGE_STACK);

    stage_long(s, 3);
    s->cpu.efer &= ~(uint64_t)EFER_SCE;
    assert_int_equal(stage_run_code(s, "\x0f\x05\xf4", 3).vector, 6);
    stage_free(s);
}

static void test_sysret(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned wide = 0; wide < 2; wide++) {
        stage_long(s, 0);
        s->cpu.star = UINT64_C(0x00130008) << 32;
        s->cpu.gprs[GPR_RCX] = ENTRY;
        /* RF and VM are not taken from R11. */
        s->cpu.gprs[GPR_R11] = UINT64_MAX & ~UINT64_C(0x100);
        stage_put(s, ENTRY, 0xf4, 1);
        stage_code(s, wide ? "\x48\x0f\x07" : "\x0f\x07\x90", 3);
        struct outcome o = stage_run(s, ENTRY);
        assert_int_equal(o.vector, DONE);
        assert_int_equal(o.cs, (wide ? 0x13 + 16 : 0x13) | 3);
        assert_int_equal(o.ss, 0x1b);
        assert_int_equal(o.rflags, 0x3c7ed7 | FLAG_RF | 2); /* RF is the #GP's own */
    }
    /* With RF clear a breakpoint on the first instruction is seen. */
    stage_long(s, 0);
    s->cpu.gprs[GPR_RCX] = s->cpu.dr[0] = ENTRY;
    s->cpu.gprs[GPR_R11] = FLAG_RF | 2;
    s->cpu.dr7 = 0x402;
    stage_code(s, "\x48\x0f\x07", 3);
    assert_int_equal(stage_run(s, 0).vector, 1);
    stage_long(s, 0);
    s->cpu.gprs[GPR_RCX] = NOT_CANONICAL;
    stage_code(s, "\x48\x0f\x07", 3);
    assert_int_equal(stage_run(s, 0).vector, GP0);
    stage_long(s, 3);
    stage_code(s, "\x48\x0f\x07", 3);
    assert_int_equal(stage_run(s, 0).vector, GP0);
    stage_free(s);
}

static void test_sysenter(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 8; n++) {
        bool exits = n & 1, null = n & 2;
        unsigned cpl = n & 4 ? 3 : 0;
        stage_protected(s, cpl);
        s->cpu.sysenter_cs = null ? 3 : 8;
        s->cpu.sysenter_eip = s->cpu.gprs[GPR_RDX] = ENTRY;
        s->cpu.sysenter_esp = s->cpu.gprs[GPR_RCX] = STAGE_STACK - 64;
        s->cpu.rflags |= 0x200;
        stage_put(s, ENTRY, 0xf4, 1);
        stage_code(s, exits ? "\x0f\x35" : "\x0f\x34", 2);
        struct outcome o = stage_run(s, ENTRY);
        bool fine = !null && !(exits && cpl);
        if (o.vector != (fine ? DONE : GP0))
            fail_msg("SYSENTER case %u: vector %d", n, o.vector);
        if (fine) {
            assert_int_equal(exits ? o.cs : s->cpu.cs.selector, exits ? 8 + 16 + 3 : 8);
            assert_int_equal(exits ? o.sp : s->cpu.gprs[GPR_RSP], STAGE_STACK - 64);
            assert_int_equal(exits ? 0 : s->cpu.rflags & 0x200, 0);
        }
    }
    stage_free(s);
}

static void compatible(struct stage *s)
{
    s->cpu.cs.attributes = (s->cpu.cs.attributes & ~SEGMENT_L) | SEGMENT_DB;
}

/* In long mode SYSENTER always leads to 64-bit code; SYSEXIT leads there with REX.W. */
static void test_sysenter_long(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 2; n++) {
        stage_long(s, 3);
        if (n)
            compatible(s);
        s->cpu.sysenter_cs = 8;
        s->cpu.sysenter_eip = ENTRY;
        s->cpu.sysenter_esp = -NOT_CANONICAL | STAGE_STACK;
        s->cpu.rflags |= 0x200;
        stage_put(s, ENTRY, 0xf4, 1);
        assert_int_equal(stage_run_code(s, "\x0f\x34", 2).vector, DONE);
        assert_int_equal(s->cpu.cs.selector, 8);
        assert_int_equal(s->cpu.cs.attributes & (SEGMENT_L | SEGMENT_DB), SEGMENT_L);
        assert_int_equal(s->cpu.ss.selector, 16);
        assert_int_equal(s->cpu.gprs[GPR_RSP], -NOT_CANONICAL | STAGE_STACK);
        assert_int_equal(s->cpu.rflags & 0x200, 0);
    }
    for (unsigned wide = 0; wide < 2; wide++) {
        stage_long(s, 0);
        s->cpu.sysenter_cs = 8;
        s->cpu.gprs[GPR_RDX] = ENTRY | (wide ? 0 : NOT_CANONICAL);
        s->cpu.gprs[GPR_RCX] = STAGE_STACK - 64;
        stage_put(s, ENTRY, 0xf4, 1);
        stage_code(s, wide ? "\x48\x0f\x35" : "\x0f\x35\x90", 3);
        struct outcome o = stage_run(s, ENTRY);
        assert_int_equal(o.vector, DONE);
        assert_int_equal(o.cs, 8 + (wide ? 32 : 16) + 3);
        assert_int_equal(o.ss, 8 + (wide ? 40 : 24) + 3);
        assert_int_equal(o.sp, STAGE_STACK - 64);
    }
    for (unsigned n = 0; n < 2; n++) {
        stage_long(s, 0);
        s->cpu.sysenter_cs = 8;
        s->cpu.gprs[n ? GPR_RDX : GPR_RCX] = NOT_CANONICAL;
        stage_code(s, "\x48\x0f\x35", 3);
        assert_int_equal(stage_run(s, 0).vector, GP0);
    }
    stage_free(s);
}

/* SYSCALL and SYSRET exist in 64-bit mode only. */
static void test_syscall_elsewhere(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    for (unsigned n = 0; n < 4; n++) {
        if (n & 1)
            stage_protected(s, 0);
        else
            stage_long(s, 0);
        if (!(n & 1))
            compatible(s);
        s->cpu.efer |= EFER_SCE;
        assert_int_equal(stage_run_code(s, n & 2 ? "\x0f\x07\xf4" : "\x0f\x05\xf4", 3).vector, 6);
    }
    stage_free(s);
}

/* ---- The I/O permission bitmap: SDM volume 1, 19.5.2 ---- */

static bool port_allowed(const uint8_t *map, unsigned map_base, unsigned limit, unsigned port, unsigned size)
{
    /* Two bytes are read whatever the port, so the byte after the last one of the map is needed, too. */
    unsigned byte = map_base + port / 8;
    if (byte + 1 > limit)
        return false;
    for (unsigned i = 0; i < size; i++)
        if (map[(port + i) / 8] >> (port + i) % 8 & 1)
            return false;
    return true;
}

static void test_io_bitmap(void **state)
{
    (void)state;
    static const uint8_t map[] = {0x00, 0x10, 0xfe, 0x01, 0x80, 0x7f, 0x00, 0x00, 0xff};
    static const char *const code[] = {"\xec\xf4\x90", "\x66\xed\xf4", "\xed\xf4\x90"};
    struct stage *s = stage_new();
    for (unsigned limit = 0x66; limit < 0x74; limit++)
        for (unsigned port = 0; port < 72; port++)
            for (unsigned n = 0; n < 3 * 8; n++) {
                unsigned size = n % 3, cpl = n / 3 & 3, iopl = n / 12 ? 3 : 1;
                stage_protected(s, cpl);
                s->cpu.tr.limit = limit;
                memcpy(s->ram.bytes + STAGE_TSS + 0x68, map, sizeof map);
                s->cpu.rflags |= iopl << 12;
                s->cpu.gprs[GPR_RDX] = port;
                stage_code(s, code[size], 3);
                struct outcome o = stage_run(s, STAGE_CODE + 1 + (size == 1));
                bool fine = cpl <= iopl || (limit >= 0x67 && port_allowed(map, 0x68, limit, port, 1u << size));
                if (o.vector != (fine ? DONE : GP0) || (!fine && o.rip != STAGE_CODE))
                    fail_msg("limit %x port %x size %u cpl %u iopl %u: vector %d", limit, port, 1u << size, cpl, iopl,
                             o.vector);
            }
    stage_free(s);
}

/* ---- Virtual-8086 mode: SDM volume 3, chapter 20 ---- */

#define V86_SEGMENT 0x1000u /* its first byte is STAGE_CODE's */

static void set_up_v86(struct stage *s, unsigned iopl)
{
    stage_protected(s, 0);
    struct segment data = {.selector = V86_SEGMENT, .base = STAGE_CODE, .limit = 0xffff, .attributes = 0xf3};
    s->cpu.cs = s->cpu.ds = s->cpu.es = s->cpu.fs = s->cpu.gs = s->cpu.ss = data;
    s->cpu.gprs[GPR_RSP] = 0x8000;
    s->cpu.rip = 0;
    s->cpu.rflags = 2 | FLAG_VM | iopl << 12;
}

static void test_v86(void **state)
{
    (void)state;
    /* What becomes of an instruction, with IOPL below 3 and at 3. */
    static const struct {
        const char *code;
        int vectors[2];
        uint32_t codes[2];
    } list[] = {
        {"\xfa\xf4", {GP0, DONE}, {0, 0}},                /* cli */
        {"\xfb\xf4", {GP0, DONE}, {0, 0}},                /* sti */
        {"\x9c\xf4", {GP0, DONE}, {0, 0}},                /* pushf */
        {"\x9d\xf4", {GP0, DONE}, {0, 0}},                /* popf */
        {"\xcd\x20", {GP0, 0x20}, {0, 0}},                /* int */
        {"\xcd\x21", {GP0, GP0}, {0, 0x10a}},             /* through a gate of level 0 */
        {"\xcd\x22", {GP0, GP0}, {0, SEL_CODE(1) & ~3u}}, /* to level 1 */
        {"\xcd\x23", {GP0, GP0}, {0, SEL_TEST}},          /* to conforming code */
        {"\xcc\xf4", {3, 3}, {0, 0}},                     /* int3 does not ask IOPL */
        {"\xf4\xf4", {GP0, GP0}, {0, 0}},                 /* hlt */
        {"\x0f\x20\xc0", {GP0, GP0}, {0, 0}},             /* mov from CR0 */
        {"\x0f\x21\xc0", {GP0, GP0}, {0, 0}},             /* mov from DR0 */
        {"\x0f\x00\xc8", {6, 6}, {0, 0}},                 /* str */
        {"\x0f\x02\xc0", {6, 6}, {0, 0}},                 /* lar */
        {"\x63\xc0\xf4", {6, 6}, {0, 0}},                 /* arpl */
        {"\xe4\x10\xf4", {GP0, GP0}, {0, 0}},             /* in: the bitmap decides, whatever IOPL */
        {"\x8e\xd8\xf4", {DONE, DONE}, {0, 0}},           /* mov to ds: any selector */
        {"\xa1\xff\xff", {GP0, GP0}, {0, 0}},             /* beyond 64 KiB */
    };
    struct stage *s = stage_new();
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (unsigned full = 0; full < 2; full++) {
            set_up_v86(s, full ? 3 : 2);
            stage_gate(s, 0x21, 14, 0, SEL_CODE(0), stage_stub(0x21));
            stage_gate(s, 0x22, 14, 3, SEL_CODE(1), stage_stub(0x22));
            stage_gate(s, 0x23, 14, 3, SEL_TEST, stage_stub(0x23));
            stage_descriptor(s, SEL_TEST, D_FLAT | D_P | D_TYPE(0x1e) | D_DB);
            stage_code(s, list[i].code, 3);
            struct outcome o = stage_run(s, 0);
            /* The HLT of code that went on is a #GP(0) too, but not of its first byte. */
            int vector = o.vector == GP0 && o.code == 0 && o.rip != 0 ? DONE : o.vector;
            if (vector != list[i].vectors[full] || (vector >= 0 && o.code != list[i].codes[full]))
                fail_msg("case %u, IOPL %u: vector %d code %x rip %llx", i, full ? 3 : 2, vector, o.code,
                         (unsigned long long)o.rip);
            if (o.frame != STAGE_KSTACK - 36 - (stage_has_code(o.vector) ? 4 : 0))
                fail_msg("case %u: the frame is at %llx", i, (unsigned long long)o.frame);
            assert_true(o.rflags & FLAG_VM);
            assert_int_equal(stage_get(s, STAGE_KSTACK - 4, 2), V86_SEGMENT); /* GS, the first */
            assert_true(s->cpu.ds.attributes & SEGMENT_UNUSABLE);
        }
    stage_free(s);
}

/* IRET to virtual-8086 mode takes nine doublewords, and only at level 0. */
static void test_iret_to_v86(void **state)
{
    (void)state;
    static const uint32_t frame[9] = {0x10,   V86_SEGMENT, 2 | FLAG_VM | 0x200, 0x7000, 0x1100, 0x1200, 0x1300,
                                      0x1400, 0x1500};
    struct stage *s = stage_new();
    stage_protected(s, 0);
    memcpy(s->ram.bytes + STAGE_STACK - 36, frame, sizeof frame);
    s->cpu.gprs[GPR_RSP] = STAGE_STACK - 36;
    stage_code(s, "\xcf", 1);
    stage_put(s, STAGE_CODE + 0x10, 0xf4, 1);
    struct outcome o = stage_run(s, 0);
    assert_int_equal(o.vector, GP0);
    assert_int_equal(o.rip, 0x10);
    assert_int_equal(o.cs, V86_SEGMENT);
    assert_int_equal(o.rflags, 2 | FLAG_VM | 0x200 | FLAG_RF);
    for (unsigned i = 0; i < 6; i++) /* ESP SS ES DS FS GS */
        assert_int_equal(stage_get(s, STAGE_KSTACK - 24 + 4 * i, 4), frame[3 + i]);
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_priority),
        cmocka_unit_test(test_control_registers),
        cmocka_unit_test(test_cr4_bits),
        cmocka_unit_test(test_entering_long_mode),
        cmocka_unit_test(test_lmsw),
        cmocka_unit_test(test_msrs),
        cmocka_unit_test(test_syscall),
        cmocka_unit_test(test_sysret),
        cmocka_unit_test(test_sysenter),
        cmocka_unit_test(test_sysenter_long),
        cmocka_unit_test(test_syscall_elsewhere),
        cmocka_unit_test(test_io_bitmap),
        cmocka_unit_test(test_v86),
        cmocka_unit_test(test_iret_to_v86),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
