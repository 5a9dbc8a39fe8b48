/*
 * The x87's transcendental functions give the same bits on every host: results worked out beforehand, from series of 80
 * decimal digits and the pi of 66 bits, rounded once. And the special operands, by the tables in SDM volume 2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/soft/x87_float.h"

enum {
    F2XM1 = 0xf0,
    FYL2X = 0xf1,
    FPTAN = 0xf2,
    FPATAN = 0xf3,
    FYL2XP1 = 0xf9,
    FSINCOS = 0xfb,
    FSIN = 0xfe,
    FCOS = 0xff,
};

struct number {
    uint16_t top; /* sign and exponent */
    uint64_t significand;
};

/* ST(0) and ST(1) before; then what replaces them, and what is pushed; the status word but for TOP. */
struct row {
    unsigned modrm;
    uint16_t fcw;
    struct number x, y, result, pushed;
    uint16_t fsw;
};

/* clang-format off */
static const struct row results[] = {
    {F2XM1, 0x37f, {0x3ffb, UINT64_C(0xf64c8846db5b5fab)}, {0, 0}, {0x3ffb, UINT64_C(0xb209fcb3a1da52c0)}, {0, 0}, 0x020},
    {F2XM1, 0x37f, {0xbff8, UINT64_C(0xed7222a88201e2bd)}, {0, 0}, {0xbff8, UINT64_C(0xa3c2d195d6302d04)}, {0, 0}, 0x220},
    {F2XM1, 0x77f, {0xbffc, UINT64_C(0xc18638e1cdcc6929)}, {0, 0}, {0xbffb, UINT64_C(0xfb73d27f2ee25aab)}, {0, 0}, 0x220},
    {F2XM1, 0xb7f, {0x3fef, UINT64_C(0x97d48a12cb008853)}, {0, 0}, {0x3fee, UINT64_C(0xd27b932e68661d07)}, {0, 0}, 0x220},
    {F2XM1, 0x37f, {0xbff8, UINT64_C(0x8b9b1792244caf9c)}, {0, 0}, {0xbff7, UINT64_C(0xc0f6e0c9a46a4e2e)}, {0, 0}, 0x220},
    {FYL2X, 0x37f, {0x4019, UINT64_C(0xde94cba9a7677796)}, {0x3ff2, UINT64_C(0xfb7d2edc656abd72)}, {0x3ff7, UINT64_C(0xd29b98735981fcf6)}, {0, 0}, 0x220},
    {FYL2X, 0x37f, {0x3fe8, UINT64_C(0x849045320f3ebdd3)}, {0x3ffa, UINT64_C(0xc3a1ff5bd4ea65d0)}, {0xbfff, UINT64_C(0x8c4d563a207cd777)}, {0, 0}, 0x020},
    {FYL2X, 0x77f, {0x401b, UINT64_C(0xb86352dc5387f613)}, {0x3ffc, UINT64_C(0x83d9bf0a99809225)}, {0x4000, UINT64_C(0xeb13fa55303ac2cc)}, {0, 0}, 0x020},
    {FYL2X, 0xb7f, {0x3fff, UINT64_C(0x8000000000012345)}, {0x3ffc, UINT64_C(0xa5a6c23aa3ea284d)}, {0x3fce, UINT64_C(0x87f471f1d014829c)}, {0, 0}, 0x220},
    {FYL2X, 0x37f, {0x4003, UINT64_C(0xffb332c46822a6b2)}, {0xc00f, UINT64_C(0xba89c91b15c1d2df)}, {0xc011, UINT64_C(0xe918092d5dcf35fc)}, {0, 0}, 0x220},
    {FPTAN, 0x37f, {0x4000, UINT64_C(0x8aa66955d7185dda)}, {0, 0}, {0xbfff, UINT64_C(0xbcdee72dbf6aaf07)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x220},
    {FPTAN, 0x37f, {0xc003, UINT64_C(0x9d65b133c20ba2c2)}, {0, 0}, {0xbfff, UINT64_C(0x8a96d85842f8fc6d)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x220},
    {FPTAN, 0x77f, {0xc000, UINT64_C(0xc8150ba711fa2ac0)}, {0, 0}, {0x3ff8, UINT64_C(0xfad3ff1f94029685)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x020},
    {FPTAN, 0xb7f, {0xbff9, UINT64_C(0xa53c4e59d8b9b45c)}, {0, 0}, {0xbff9, UINT64_C(0xa5420b246e0aac04)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x020},
    {FPTAN, 0x37f, {0xc036, UINT64_C(0xec74a58a0452ef05)}, {0, 0}, {0xbffe, UINT64_C(0xbeaaed30a8d78e39)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x020},
    {FPATAN, 0x37f, {0xbff3, UINT64_C(0xdabd350efaf8cda9)}, {0xbff0, UINT64_C(0xf483ca6fed52a241)}, {0xc000, UINT64_C(0xc02d3fdf868c6918)}, {0, 0}, 0x020},
    {FPATAN, 0x37f, {0x3ffc, UINT64_C(0xab1f4df645100358)}, {0xc009, UINT64_C(0xd091fa8090f5380e)}, {0xbfff, UINT64_C(0xc90c927d08139f2d)}, {0, 0}, 0x020},
    {FPATAN, 0x77f, {0x400a, UINT64_C(0x913a750c1e34b3f1)}, {0xbff5, UINT64_C(0xfb66d97c03e0d681)}, {0xbfea, UINT64_C(0xdd93ffd3b757e1fe)}, {0, 0}, 0x220},
    {FPATAN, 0xb7f, {0x400d, UINT64_C(0xd74e50452d7c5048)}, {0x3fff, UINT64_C(0x87aa964a02cdf2af)}, {0x3ff0, UINT64_C(0xa14edf768d4790cc)}, {0, 0}, 0x220},
    {FPATAN, 0x37f, {0xbff8, UINT64_C(0x8ee9bbdf623d8eb7)}, {0xbffc, UINT64_C(0xfe1db37d30d0b194)}, {0xbfff, UINT64_C(0xcd8f29185647c9cf)}, {0, 0}, 0x020},
    {FYL2XP1, 0x37f, {0x3ffa, UINT64_C(0xe6d63023f9903b72)}, {0xc009, UINT64_C(0x800f6e47367e5d6d)}, {0xc005, UINT64_C(0xa2111bf1c3f21c57)}, {0, 0}, 0x220},
    {FYL2XP1, 0x37f, {0xbfe5, UINT64_C(0xcd0ef127dab871d5)}, {0x4003, UINT64_C(0x9af88d79050684bf)}, {0xbfea, UINT64_C(0xb31614c62d9b493c)}, {0, 0}, 0x220},
    {FYL2XP1, 0x77f, {0xbffb, UINT64_C(0xce1f65aac5cefdd8)}, {0xbff6, UINT64_C(0x9b4b8f0d2577c1ec)}, {0x3ff3, UINT64_C(0xbe211e0051023e24)}, {0, 0}, 0x020},
    {FYL2XP1, 0xb7f, {0xbfe2, UINT64_C(0xd17bb23d952e1b8b)}, {0x4005, UINT64_C(0x89651fb862dc08d6)}, {0xbfe9, UINT64_C(0xa233921623ee30d1)}, {0, 0}, 0x020},
    {FYL2XP1, 0x37f, {0xbffc, UINT64_C(0xcb2bb470f589d99a)}, {0xbfff, UINT64_C(0xaf93ff845e617f8e)}, {0x3ffd, UINT64_C(0xe014b9680a1e3c5d)}, {0, 0}, 0x020},
    {FSINCOS, 0x37f, {0x3fff, UINT64_C(0xeeea502a22bfb8e0)}, {0, 0}, {0x3ffe, UINT64_C(0xf4e31259735c5860)}, {0xbffd, UINT64_C(0x95374f738ed40a12)}, 0x020},
    {FSINCOS, 0x37f, {0xbffe, UINT64_C(0xa7c8aa0627756991)}, {0, 0}, {0xbffe, UINT64_C(0x9c06f07c4082d993)}, {0x3ffe, UINT64_C(0xcaf4fda22e61884c)}, 0x220},
    {FSINCOS, 0x77f, {0x3ffb, UINT64_C(0xdcd99c753fdf2348)}, {0, 0}, {0x3ffb, UINT64_C(0xdc6c18ee579dad23)}, {0x3ffe, UINT64_C(0xfe835103074c2a0c)}, 0x020},
    {FSINCOS, 0xb7f, {0xbffb, UINT64_C(0xf85f3006a104a795)}, {0, 0}, {0xbffb, UINT64_C(0xf7c37117fb1684e0)}, {0x3ffe, UINT64_C(0xfe1ea603792fe342)}, 0x220},
    {FSINCOS, 0x37f, {0xc038, UINT64_C(0xb1b0dcfcf33c1a7f)}, {0, 0}, {0xbffe, UINT64_C(0xa7f74c8194ebcf54)}, {0xbffe, UINT64_C(0xc13154bf71b46dd2)}, 0x020},
    {FSIN, 0x37f, {0x3fff, UINT64_C(0x861141336be49ee7)}, {0, 0}, {0x3ffe, UINT64_C(0xddba86675880b6d9)}, {0, 0}, 0x220},
    {FSIN, 0x37f, {0xbff9, UINT64_C(0xfb3925d08329c05b)}, {0, 0}, {0xbff9, UINT64_C(0xfb2f114a90a68bb4)}, {0, 0}, 0x220},
    {FSIN, 0x77f, {0xbffc, UINT64_C(0xb2204eedb45f51c3)}, {0, 0}, {0xbffc, UINT64_C(0xb13aaf78ebacb5d3)}, {0, 0}, 0x220},
    {FSIN, 0xb7f, {0xbffc, UINT64_C(0xcc590208e7a28cbd)}, {0, 0}, {0xbffc, UINT64_C(0xcafe7beb0ae82a41)}, {0, 0}, 0x020},
    {FSIN, 0x37f, {0xc037, UINT64_C(0xf6f136172ce933e1)}, {0, 0}, {0xbffe, UINT64_C(0xfaf4615b06e6d407)}, {0, 0}, 0x220},
    {FCOS, 0x37f, {0x4003, UINT64_C(0x9d3c175d205bc308)}, {0, 0}, {0x3ffe, UINT64_C(0xb179de7fe239b7be)}, {0, 0}, 0x220},
    {FCOS, 0x37f, {0x3fff, UINT64_C(0xced4d8a6da36e0d6)}, {0, 0}, {0xbffa, UINT64_C(0xb88fbfef7cccd727)}, {0, 0}, 0x220},
    {FCOS, 0x77f, {0xc001, UINT64_C(0xf56c0ee6365fdcd6)}, {0, 0}, {0x3ffc, UINT64_C(0xbbe63001991ec5b6)}, {0, 0}, 0x020},
    {FCOS, 0xb7f, {0x3ffb, UINT64_C(0xa274f25211b41900)}, {0, 0}, {0x3ffe, UINT64_C(0xff31eb3bf5230d5b)}, {0, 0}, 0x220},
    {FCOS, 0x37f, {0xc036, UINT64_C(0x85f6ed830f7a0443)}, {0, 0}, {0x3ffe, UINT64_C(0x87c76b226a3d2993)}, {0, 0}, 0x020},
    {FSIN, 0x37f, {0x4000, UINT64_C(0xc90fdaa22168c235)}, {0, 0}, {0xbfbf, UINT64_C(0x8000000000000000)}, {0, 0}, 0x220},
    {FCOS, 0x37f, {0x4000, UINT64_C(0xc90fdaa22168c235)}, {0, 0}, {0xbfff, UINT64_C(0x8000000000000000)}, {0, 0}, 0x220},
    {FPTAN, 0x37f, {0x4000, UINT64_C(0xc90fdaa22168c235)}, {0, 0}, {0x3fbf, UINT64_C(0x8000000000000000)}, {0x3fff, UINT64_C(0x8000000000000000)}, 0x020},
};

#define ZERO   {0x0000, 0}
#define MZERO  {0x8000, 0}
#define ONE    {0x3fff, UINT64_C(1) << 63}
#define MONE   {0xbfff, UINT64_C(1) << 63}
#define TWO    {0x4000, UINT64_C(1) << 63}
#define INF    {0x7fff, UINT64_C(1) << 63}
#define MINF   {0xffff, UINT64_C(1) << 63}
#define NAN_   {0xffff, UINT64_C(3) << 62}
#define QNAN   {0x7fff, UINT64_C(0xc000000000000123)}
#define SNAN   {0x7fff, UINT64_C(0x8000000000000123)}
#define UNNORM {0x3fff, 1}
#define DENORM {0x0000, 1}
#define BIG    {0x403e, UINT64_C(1) << 63}
#define MAX    {0x7ffe, UINT64_MAX}

static const struct row specials[] = {
    {F2XM1, 0x37f, MZERO, ZERO, MZERO, ZERO, 0},
    {F2XM1, 0x37f, ONE, ZERO, ONE, ZERO, 0},
    {F2XM1, 0x37f, MONE, ZERO, {0xbffe, UINT64_C(1) << 63}, ZERO, 0},
    {F2XM1, 0x37f, TWO, ZERO, TWO, ZERO, X87_PE},
    {F2XM1, 0x37f, MINF, ZERO, MONE, ZERO, 0},
    {F2XM1, 0x37f, SNAN, ZERO, QNAN, ZERO, X87_IE},
    {F2XM1, 0x37f, UNNORM, ZERO, NAN_, ZERO, X87_IE},
    {F2XM1, 0x37f, DENORM, ZERO, DENORM, ZERO, X87_DE | X87_UE | X87_PE | X87_C1},
    {FYL2X, 0x37f, {0x4002, UINT64_C(1) << 63}, TWO, {0x4001, UINT64_C(3) << 62}, ZERO, 0},
    {FYL2X, 0x37f, ZERO, TWO, MINF, ZERO, X87_ZE},
    {FYL2X, 0x37f, ZERO, ZERO, NAN_, ZERO, X87_IE},
    {FYL2X, 0x37f, MONE, TWO, NAN_, ZERO, X87_IE},
    {FYL2X, 0x37f, ONE, INF, NAN_, ZERO, X87_IE},
    {FYL2X, 0x37f, ONE, MONE, MZERO, ZERO, 0},
    {FYL2X, 0x37f, INF, MONE, MINF, ZERO, 0},
    {FYL2X, 0x37f, BIG, MAX, INF, ZERO, X87_OE | X87_PE | X87_C1},
    {FYL2X, 0xf7f, BIG, MAX, MAX, ZERO, X87_OE | X87_PE},
    {FYL2X, 0x37f, TWO, QNAN, QNAN, ZERO, 0},
    {FYL2XP1, 0x37f, MZERO, ONE, MZERO, ZERO, 0},
    {FYL2XP1, 0x37f, ZERO, INF, NAN_, ZERO, X87_IE},
    {FYL2XP1, 0x37f, MINF, ONE, NAN_, ZERO, X87_IE},
    {FPATAN, 0x37f, MZERO, ZERO, {0x4000, UINT64_C(0xc90fdaa22168c235)}, ZERO, X87_PE | X87_C1},
    {FPATAN, 0x37f, INF, MONE, MZERO, ZERO, 0},
    {FPATAN, 0x37f, MINF, INF, {0x4000, UINT64_C(0x96cbe3f9990e91a8)}, ZERO, X87_PE | X87_C1},
    {FPTAN, 0x37f, MZERO, ZERO, MZERO, ONE, 0},
    {FPTAN, 0x37f, INF, ZERO, NAN_, NAN_, X87_IE},
    {FSINCOS, 0x37f, ZERO, ZERO, ZERO, ONE, 0},
    {FSINCOS, 0x37f, QNAN, ZERO, QNAN, QNAN, 0},
    {FSIN, 0x37f, BIG, ZERO, BIG, ZERO, X87_C2},
    {FSIN, 0x37f, INF, ZERO, NAN_, ZERO, X87_IE},
    {FSIN, 0x37e, INF, ZERO, INF, ZERO, X87_IE | 0x8080},
    {FSIN, 0x37d, DENORM, ZERO, DENORM, ZERO, X87_DE | 0x8080},
    {FSIN, 0xf7f, ONE, ZERO, {0x3ffe, UINT64_C(0xd76aa47848677020)}, ZERO, X87_PE},
    {FSIN, 0xf7f, {0x3f00, UINT64_C(1) << 63}, ZERO, {0x3eff, UINT64_MAX}, ZERO, X87_PE},
    {FCOS, 0x37f, MZERO, ZERO, ONE, ZERO, 0},
    {FCOS, 0x37f, {0x3f00, UINT64_C(1) << 63}, ZERO, ONE, ZERO, X87_PE | X87_C1},
};
/* clang-format on */

static bool has_two(unsigned modrm)
{
    return modrm == FYL2X || modrm == FPATAN || modrm == FYL2XP1;
}

static struct number number_at(const struct fx_image *fx, unsigned i)
{
    struct number n;
    memcpy(&n.significand, fx->st[i], 8);
    memcpy(&n.top, fx->st[i] + 8, 2);
    return n;
}

static void check_number(const struct row *row, const char *which, struct number is, struct number wanted)
{
    if (is.top != wanted.top || is.significand != wanted.significand)
        fail_msg("D9 %02x of %04x:%016llx, %s: %04x:%016llx, not %04x:%016llx", row->modrm, row->x.top,
                 (unsigned long long)row->x.significand, which, is.top, (unsigned long long)is.significand, wanted.top,
                 (unsigned long long)wanted.significand);
}

/* Whether the second result is pushed: not when the operand is out of range. */
static bool pushed(const struct row *row)
{
    return (row->modrm == FPTAN || row->modrm == FSINCOS) && !(row->fsw & X87_C2);
}

static void check_row(const struct row *row)
{
    struct fx_image fx = {.fcw = row->fcw, .fsw = 4 << 11, .ftw = has_two(row->modrm) ? 0x30 : 0x10};
    x87_pack(fx.st[0], row->x.top >> 15, row->x.top & 0x7fff, row->x.significand);
    x87_pack(fx.st[1], row->y.top >> 15, row->y.top & 0x7fff, row->y.significand);
    x87_function(&fx, row->modrm);
    unsigned top = has_two(row->modrm) ? 5 : pushed(row) ? 3 : 4;
    check_number(row, "result", number_at(&fx, pushed(row)), row->result);
    if (pushed(row))
        check_number(row, "pushed", number_at(&fx, 0), row->pushed);
    if (fx.fsw != (row->fsw | top << 11))
        fail_msg("D9 %02x of %04x:%016llx: fsw %04x, not %04x", row->modrm, row->x.top,
                 (unsigned long long)row->x.significand, fx.fsw, row->fsw | top << 11);
    assert_int_equal(fx.ftw, has_two(row->modrm) ? 0x20 : pushed(row) ? 0x18 : 0x10);
}

static void results_are_the_same_bits_everywhere(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < sizeof results / sizeof *results; i++)
        check_row(&results[i]);
}

static void special_operands_go_by_the_tables(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < sizeof specials / sizeof *specials; i++)
        check_row(&specials[i]);
}

static void stack_faults(void **unused)
{
    (void)unused;
    struct fx_image empty = {.fcw = 0x37f}, full = {.fcw = 0x37f, .ftw = 0xff};
    struct row row = {.modrm = FSIN};
    x87_function(&empty, FSIN);
    assert_int_equal(empty.fsw, X87_IE | X87_SF);
    assert_int_equal(empty.ftw, 1);
    check_number(&row, "result", number_at(&empty, 0), (struct number)NAN_);
    x87_function(&full, FSINCOS);
    assert_int_equal(full.fsw, X87_IE | X87_SF | X87_C1 | 7 << 11);
    check_number(&row, "pushed", number_at(&full, 0), (struct number)NAN_);
    check_number(&row, "result", number_at(&full, 1), (struct number)NAN_);
}

/* One step of several takes 32 + D mod 32 bits; results by integers of any length. */
static void remainders_in_steps(void **unused)
{
    (void)unused;
    static const struct row rows[] = {
        {0xf8,
         0x37f,
         {0x4100, UINT64_C(0xf3279b5753ed629c)},
         {0x4000, UINT64_C(0xc90fdaa22168c235)},
         {0x40e0, UINT64_C(0x9e7db44725f9ca06)},
         ZERO,
         0},
        {0xf5,
         0x37f,
         {0x4080, UINT64_C(0xd76aa47848677020)},
         {0x4021, UINT64_C(0x8000000000000001)},
         {0x403f, UINT64_C(0xa2556e1ede623f88)},
         ZERO,
         0},
    };
    struct fx_image fx;
    for (unsigned i = 0; i < 2; i++) {
        fx = (struct fx_image){.fcw = 0x37f, .fsw = X87_C0 | X87_C1 | X87_C3, .ftw = 3};
        x87_pack(fx.st[0], false, rows[i].x.top, rows[i].x.significand);
        x87_pack(fx.st[1], false, rows[i].y.top, rows[i].y.significand);
        assert_true(x87_partial_remainder(&fx));
        check_number(&rows[i], "remainder", number_at(&fx, 0), rows[i].result);
        assert_int_equal(fx.fsw, X87_C2);
    }
    x87_pack(fx.st[0], false, rows[1].y.top + 63, UINT64_C(1) << 63);
    assert_false(x87_partial_remainder(&fx));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_same_bits_everywhere),
        cmocka_unit_test(special_operands_go_by_the_tables),
        cmocka_unit_test(stack_faults),
        cmocka_unit_test(remainders_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
