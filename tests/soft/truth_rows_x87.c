/* The truth harness's rows for the x87: every ModRM byte of D8 to DF, the undocumented aliases among them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/soft/truth.h"

/* What is in memory, by opcode and digit: SDM vol. 2, appendix A.5. */
static unsigned memory_size(unsigned opcode, int digit, enum truth_values *values)
{
    static const struct {
        uint8_t size, values;
    } integer[] = {[0xd8 & 7] = {4, V_PS}, [0xd9 & 7] = {4, V_PS}, [0xda & 7] = {4, V_INT}, [0xdb & 7] = {4, V_INT},
                   [0xdc & 7] = {8, V_PD}, [0xdd & 7] = {8, V_PD}, [0xde & 7] = {2, V_INT}, [0xdf & 7] = {2, V_INT}};
    *values = (enum truth_values)integer[opcode & 7].values;
    if (opcode == 0xdb && digit >= 5) {
        *values = V_F80;
        return 10;
    }
    if (opcode == 0xdf && digit >= 4) {
        *values = digit == 4 ? V_BCD : V_INT;
        return digit & 1 ? 8 : 10;
    }
    if (opcode == 0xd9 && digit >= 4)
        return digit & 1 ? 2 : 28;
    if (opcode == 0xdd && (digit == 4 || digit == 6))
        return 108;
    if (opcode == 0xdd && digit == 7)
        return 2;
    return integer[opcode & 7].size;
}

/* FNSTENV and FNSAVE: the last instruction's and operand's addresses are the host's. A 66 prefix makes them 16-bit. */
static void adjust_environment(struct truth_gen *gen)
{
    bool half = false;
    for (unsigned i = gen->first; i < gen->c->length && gen->c->code[i] != gen->row->opcode; i++)
        half |= gen->c->code[i] == 0x66;
    if (half)
        truth_hole(gen, gen->ea + 6, 8);
    else
        truth_hole(gen, gen->ea + 12, 16);
}

/* FISTTP came with SSE3, which the soft processor does not have. */
static bool is_sse3(unsigned opcode, int digit)
{
    return digit == 1 && (opcode == 0xdb || opcode == 0xdd || opcode == 0xdf);
}

static void add_memory_forms(struct truth_rows *rows, unsigned opcode)
{
    for (int digit = 0; digit < 8; digit++) {
        char name[28];
        enum truth_values values;
        if (is_sse3(opcode, digit))
            continue;
        unsigned size = memory_size(opcode, digit, &values);
        bool saves = (opcode == 0xd9 || opcode == 0xdd) && digit == 6;
        bool environment = size == 28 || size == 108;
        snprintf(name, sizeof name, "%02x /%d memory", opcode, digit);
        struct truth_row *row =
            truth_row_add(rows, "x87 memory", name, opcode, digit, F_MEM | F_NOAC | (environment ? F_D64 : F_SEQ), 0);
        row->values = values;
        row->size = size;
        row->adjust = saves ? adjust_environment : NULL;
    }
}

/* Constants and functions: D9 /4 to /7. The transcendental ones are approximations, of which makers have their own. */
static void adjust_function(struct truth_gen *gen)
{
    unsigned modrm = 0xc0 | (gen->reg & 7) << 3 | (gen->rm & 7);
    gen->c->function =
        (modrm >= 0xf0 && modrm <= 0xf3) || modrm == 0xf9 || modrm == 0xfb || modrm == 0xfe || modrm == 0xff;
    long double x = 0;
    memcpy(&x, gen->c->before.st[0], 10);
    /* The results of F2XM1 beyond 1 and of FYL2XP1 beyond 1 - sqrt(1/2) are undefined. */
    if (isfinite(x))
        gen->c->skip |= (modrm == 0xf0 && fabsl(x) > 1) || (modrm == 0xf9 && fabsl(x) > 0.2928L);
}

/* Eight instructions in each of these; those with functions stand alone, for what comes after could tell more than the
 * last bits of a result. */
static void add_function_forms(struct truth_rows *rows, const char *name, int digit)
{
    for (unsigned i = 0; i < 6; i++) {
        uint32_t form = F_REG | F_NOAC | (digit < 6 ? F_SEQ : 0);
        struct truth_row *row = truth_row_add(rows, "x87 registers", name, 0xd9, digit, form, 0);
        row->values = V_F80;
        row->adjust = adjust_function;
    }
}

void truth_rows_x87(struct truth_rows *rows)
{
    for (unsigned opcode = 0xd8; opcode < 0xe0; opcode++) {
        add_memory_forms(rows, opcode);
        for (int digit = 0; digit < 8; digit++) {
            char name[28];
            snprintf(name, sizeof name, "%02x /%d register", opcode, digit);
            bool functions = opcode == 0xd9 && digit >= 6;
            if (!functions)
                truth_row_add(rows, "x87 registers", name, opcode, digit, F_REG | F_SEQ | F_NOAC, 0)->values = V_F80;
            if (opcode == 0xd9 && digit >= 4)
                add_function_forms(rows, name, digit);
        }
    }
    truth_row_add(rows, "x87 registers", "fwait", 0x9b, -1, F_SEQ | F_NOAC, 0);
}
