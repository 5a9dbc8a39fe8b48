/*
 * The flags of SSE arithmetic while overflow or underflow is unmasked: SDM volume 1, 4.9.1.4, 4.9.1.5 and 11.5.2.
 *
 * The computation itself runs on the host with all exceptions masked. Unmasked, underflow is raised by a tiny result
 * whether it is exact or not, and PE tells of the result rounded as if exponents had no bounds. The x87's extended
 * format has exponents to spare: a result is exact in that sense when the x87 finds it exact, in as many bits as the
 * format has. Each element is looked at by itself, for the flags of one say nothing about another.
 */
#include "vmm/soft/vector.h"

enum { FLAG_OE = 0x08, FLAG_UE = 0x10, FLAG_PE = 0x20 };

#define MXCSR_DAZ 0x40u

/* What kind of operation, by opcode. */
enum { OP_58_ADD = 0x58, OP_59_MUL = 0x59, OP_5A_NARROW = 0x5a, OP_5C_SUB = 0x5c, OP_5E_DIV = 0x5e };

bool vec_may_leave_range(unsigned opcode, unsigned prefix)
{
    bool narrows = opcode == OP_5A_NARROW && (prefix == 1 || prefix == 3);
    return narrows || opcode == OP_58_ADD || opcode == OP_59_MUL || opcode == OP_5C_SUB || opcode == OP_5E_DIV;
}

static bool is_denormal(const uint8_t *element, unsigned size)
{
    uint64_t bits = 0, fraction = size == 4 ? 0x007fffff : UINT64_C(0x000fffffffffffff);
    memcpy(&bits, element, size);
    uint64_t magnitude = bits & (UINT64_MAX >> (65 - 8 * size));
    return magnitude != 0 && magnitude <= fraction;
}

static long double extended(const uint8_t *element, unsigned size, bool denormals_are_zero)
{
    float narrow;
    double wide;
    if (denormals_are_zero && is_denormal(element, size))
        return 0;
    if (size == 4) {
        memcpy(&narrow, element, 4);
        return narrow;
    }
    memcpy(&wide, element, 8);
    return wide;
}

/* Whether `a op b` can be told in `precision` bits. The x87 is left as it was found: empty, with its usual control. */
static bool is_exact(unsigned opcode, long double a, long double b, unsigned precision)
{
    uint16_t status;
    volatile long double x = a, y = b; /* read between the two statements that clear and read the status */
    __asm__ volatile("fnclex");
    volatile long double result = opcode == OP_58_ADD   ? x + y
                                  : opcode == OP_59_MUL ? x * y
                                  : opcode == OP_5C_SUB ? x - y
                                  : opcode == OP_5E_DIV ? x / y
                                                        : y;
    __asm__ volatile("fnstsw %0\n\tfnclex" : "=a"(status) : "m"(result));
    uint64_t significand;
    long double value = result;
    memcpy(&significand, &value, 8);
    return !(status & FLAG_PE) && !(significand & (UINT64_MAX >> precision));
}

/* The flags of element `i`. */
static uint32_t element_flags(const struct soft *cpu, const struct vec_lanes *l, vec_fn *fn, const uint8_t *d,
                              const uint8_t *s, unsigned i)
{
    uint8_t a[16], b[16];
    for (unsigned at = 0; at < 16; at += l->size) {
        memcpy(a + at, d + i * l->size, l->size);
        memcpy(b + at, s + i * l->size, l->size);
    }
    bool daz = cpu->fx.mxcsr & MXCSR_DAZ;
    long double x = extended(a, l->size, daz), y = extended(b, l->size, daz);
    unsigned result_size = l->opcode == OP_5A_NARROW ? 4 : l->size;
    uint32_t raised = vec_compute(cpu, fn, a, b), unmasked = ~(cpu->fx.mxcsr >> 7);
    bool tiny = (raised & FLAG_UE) || (!(raised & 1) && is_denormal(a, result_size));
    bool underflows = tiny && (unmasked & FLAG_UE), overflows = raised & unmasked & FLAG_OE;
    if (underflows)
        raised |= FLAG_UE;
    if (underflows || overflows) {
        raised &= ~(uint32_t)FLAG_PE;
        raised |= is_exact(l->opcode, x, y, result_size == 4 ? 24 : 53) ? 0 : FLAG_PE;
    }
    return raised;
}

uint32_t vec_exact_flags(const struct soft *cpu, const struct vec_lanes *lanes, vec_fn *fn, const uint8_t *d,
                         const uint8_t *s)
{
    uint32_t raised = 0;
    for (unsigned i = 0; i < lanes->count; i++)
        raised |= element_flags(cpu, lanes, fn, d, s, i);
    return raised;
}
