/*
 * What FPREM and FPREM1 do in one step of several: SDM volume 2, FPREM.
 *
 * When the exponents differ by D, 64 or more, the dividend is reduced by N bits only, and the manual leaves N, from 32
 * to 63, to the implementation. Here it is 32 + D mod 32 on every host. Complete remainders are exact, and the host's.
 */
#include "vmm/soft/x87_float.h"

bool x87_partial_remainder(struct fx_image *fx)
{
    unsigned top = (fx->fsw >> 11) & 7, both = 1u << top | 1u << ((top + 1) & 7);
    struct x87_operand x = x87_unpack(fx->st[0]), y = x87_unpack(fx->st[1]);
    int difference = x.exponent - y.exponent;
    if ((fx->ftw & both) != both || x.kind != X87_FINITE || y.kind != X87_FINITE || difference < 64)
        return false;
    unsigned flags = x.denormal || y.denormal ? X87_DE : 0, by = 32 + (unsigned)difference % 32;
    fx->fsw &= (uint16_t) ~(X87_C1 | X87_C2);
    if (!(flags & ~fx->fcw)) {
        fx->fsw = (uint16_t)((fx->fsw & ~(X87_C0 | X87_C3)) | X87_C2);
        uint128 rest = ((uint128)x.significand << by) % y.significand;
        uint64_t low = (uint64_t)rest;
        int shift = low ? __builtin_clzll(low) : 0;
        struct x87_exact result = {.negative = x.negative,
                                   .exponent = x.exponent - (int)by - shift,
                                   .significand = (uint128)(low << shift) << 64};
        if (low)
            flags |= x87_round(&result, fx->fcw, fx->st[0]);
        else
            x87_pack(fx->st[0], x.negative, 0, 0);
    }
    fx->fsw |= (uint16_t)flags;
    fx_settle(fx);
    return true;
}
