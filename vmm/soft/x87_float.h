/*
 * Numbers of the x87 taken apart and put together again, for the instructions that are done in software.
 *
 * Everything here is integer arithmetic on an FXSAVE image: no instruction of the host's x87 is run.
 */
#ifndef ENCORE_VMM_SOFT_X87_FLOAT_H
#define ENCORE_VMM_SOFT_X87_FLOAT_H

#include "vmm/soft/soft.h"

typedef unsigned __int128 uint128;

/* Flags of the status word (SDM volume 1, 8.1.3). */
enum {
    X87_IE = 0x01,
    X87_DE = 0x02,
    X87_ZE = 0x04,
    X87_OE = 0x08,
    X87_UE = 0x10,
    X87_PE = 0x20,
    X87_SF = 0x40,
    X87_C0 = 0x100,
    X87_C1 = 0x200,
    X87_C2 = 0x400,
    X87_C3 = 0x4000,
};

/* An operand: (-1)^negative * significand * 2^(exponent - 63), the significand's bit 63 set, when it is finite and not
 * zero. */
enum x87_kind { X87_ZERO, X87_FINITE, X87_INFINITE, X87_NAN, X87_UNSUPPORTED };

struct x87_operand {
    enum x87_kind kind;
    bool negative, denormal;
    int exponent;
    uint64_t significand; /* of a NaN: as it is in the register */
};

/* A finite result that is not zero, before it is rounded: (-1)^negative * significand * 2^(exponent - 127), the
 * significand's bit 127 set. */
struct x87_exact {
    bool negative;
    bool inexact; /* the true result is not this one, if only by bits beyond these */
    int exponent;
    uint128 significand;
};

struct x87_operand x87_unpack(const uint8_t *st);
void x87_pack(uint8_t *st, bool negative, unsigned exponent, uint64_t significand);

/* Rounds to 64 bits under the control word `fcw` and stores into `st`. Returns the flags, C1 when the magnitude was
 * rounded up. Overflow and underflow that are unmasked leave the result with its exponent moved by 24576 (SDM volume 1,
 * 8.5.4 and 8.5.5). */
unsigned x87_round(const struct x87_exact *value, uint16_t fcw, uint8_t *st);

/* Makes physical register `top` the top of the stack. Registers do not move, but the image holds them from the top on.
 */
void x87_set_top(struct fx_image *fx, unsigned top);

/* x87_math.c. Operands are finite and not zero; functions of angles take magnitudes below 2^63, logarithms take
 * positive numbers (of 1 + x, x above -1), f2xm1 magnitudes below 1. */
struct x87_exact x87_sin(struct x87_operand x);
struct x87_exact x87_cos(struct x87_operand x);
struct x87_exact x87_tan(struct x87_operand x);
struct x87_exact x87_f2xm1(struct x87_operand x);
struct x87_exact x87_fyl2x(struct x87_operand x, struct x87_operand y); /* x is not 1 */
struct x87_exact x87_fyl2xp1(struct x87_operand x, struct x87_operand y);
struct x87_exact x87_fpatan(struct x87_operand x, struct x87_operand y);
/* (-1)^negative * pi * quarters / 4, for 1 to 4 quarters. */
struct x87_exact x87_pi(bool negative, unsigned quarters);

/* x87_functions.c: whether D9 `modrm` is done in software, and doing it on the image. */
bool x87_is_function(unsigned modrm);
void x87_function(struct fx_image *fx, unsigned modrm);

/* x87_remainder.c: FPREM or FPREM1 on the image, when it takes more steps than one; else returns false. */
bool x87_partial_remainder(struct fx_image *fx);

#endif
