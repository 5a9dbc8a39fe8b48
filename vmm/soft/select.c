/*
 * From an instruction to its micro-operation: which handler, and where its operands are.
 */
#include "vmm/soft/ops.h"

UOP(uop_undefined)
{
    soft_raise(cpu, u, EXC_UD);
}

UOP(uop_general_protection)
{
    soft_raise_code(cpu, u, EXC_GP, 0);
}

/* The byte offset of a register operand; without REX, byte registers 4 to 7 are AH CH DH BH. */
static uint8_t register_offset(const struct insn *insn, unsigned number, unsigned size)
{
    if (size == 1 && !insn->rex && number >= 4 && number < 8)
        return (uint8_t)((number - 4) * 8 + 1);
    return (uint8_t)(number * 8);
}

static void place_memory(const struct insn *insn, uint32_t mode, uint64_t next_rip, struct uop *u)
{
    bool long_mode = (mode & MODE_BITS) == MODE_64;
    u->base = insn->base;
    u->index = insn->index;
    u->scale = insn->scale;
    u->disp = insn->displacement + (insn->rip_relative ? next_rip : 0);
    if (insn->memory)
        u->flags |= UF_MEMORY;
    if (insn->address_size == 2)
        u->flags |= UF_ADDR16;
    else if (insn->address_size == 4)
        u->flags |= UF_ADDR32;
    u->seg = (uint8_t)insn->segment;
    if (long_mode) {
        if (insn->segment == SEG_SS && insn->stack_base)
            u->flags |= UF_STACK;
        if (insn->segment < SEG_FS)
            u->seg = SEG_NONE;
    } else if (!(mode & MODE_FLAT) || insn->segment >= SEG_FS || insn->segment == SEG_CS) {
        u->flags |= UF_CHECK;
    }
}

/* For hot instructions: two register operands, or one and memory, or an immediate. */
static enum shape place_operands(const struct insn *insn, unsigned source_size, struct uop *u)
{
    uint8_t reg = register_offset(insn, insn->reg, insn->size);
    uint8_t rm = register_offset(insn, insn->rm, insn->size);
    u->imm = (int32_t)insn->immediate;
    switch (insn->form) {
    case FORM_RM:
        u->dst = reg;
        u->src = register_offset(insn, insn->rm, source_size);
        return insn->memory ? SHAPE_RM : SHAPE_RR;
    case FORM_MR:
        u->dst = rm;
        u->src = reg;
        return insn->memory ? SHAPE_MR : SHAPE_RR;
    case FORM_ACC:
        u->dst = 0;
        return SHAPE_RI;
    default:
        u->dst = rm;
        return insn->memory ? SHAPE_MI : SHAPE_RI;
    }
}

static uop_fn *select_move(const struct insn *insn, struct uop *u)
{
    enum shape shape = place_operands(insn, insn->size, u);
    if (insn->op == OP_XCHG && insn->form == FORM_O) {
        u->src = 0;
        shape = SHAPE_RR;
    }
    if (insn->op == OP_MOV && insn->form == FORM_O && insn->size == 8) {
        u->disp = insn->immediate;
        return move_uop(OP_MOV, SHAPE_RI, 16);
    }
    return move_uop(insn->op, shape, insn->size);
}

/* Handlers for all sizes find rm in `dst` and ModRM.reg in `src`. */
static void place_generic(const struct insn *insn, struct uop *u)
{
    u->dst = register_offset(insn, insn->rm, insn->size);
    u->src = register_offset(insn, insn->reg, insn->size);
    u->imm = (int32_t)insn->immediate;
}

static uop_fn *select_branch(const struct insn *insn, uint32_t mode, uint64_t next_rip, struct uop *u)
{
    place_generic(insn, u);
    if (insn->op == OP_RET || insn->op == OP_CALL)
        u->flags |= UF_STACK;
    if (insn->op == OP_RET || insn->op == OP_JMP_IND || insn->op == OP_CALL_IND)
        return branch_uop(insn, mode);
    uint64_t target = next_rip + insn->immediate;
    if ((mode & MODE_BITS) != MODE_64)
        target = insn->size == 2 ? (uint16_t)target : (uint32_t)target;
    u->disp = target;
    if (insn->op == OP_LOOP) {
        u->src = insn->sub;
        u->size = insn->address_size;
    }
    return branch_uop(insn, mode);
}

static uop_fn *select_stack(const struct insn *insn, uint32_t mode, struct uop *u)
{
    place_generic(insn, u);
    /* PUSH and POP of memory have two addresses: `imm` tells of the operand's, UF_STACK of the stack's. */
    if (insn->memory)
        u->imm = (u->flags & UF_STACK) != 0;
    u->flags |= UF_STACK;
    if (insn->op == OP_PUSH_SEG || insn->op == OP_POP_SEG)
        u->src = (insn->opcode >> 3) & 7;
    if (insn->op == OP_ENTER)
        u->src = (uint8_t)insn->selector;
    return stack_uop(insn, mode);
}

static uop_fn *select_far(const struct insn *insn, struct uop *u)
{
    place_generic(insn, u);
    if (insn->op == OP_JMP_FAR || insn->op == OP_CALL_FAR) {
        u->disp = insn->immediate;
        u->src = (uint8_t)insn->selector;
        u->dst = (uint8_t)(insn->selector >> 8);
    }
    return far_uop(insn);
}

static uop_fn *select_string(const struct insn *insn, struct uop *u)
{
    place_generic(insn, u);
    /* For IN and OUT: whether the port is in the instruction. */
    if (insn->op == OP_IN || insn->op == OP_OUT)
        u->src = insn->opcode < 0xe8;
    return string_uop(insn);
}

static uop_fn *select_family(const struct insn *insn, uint32_t mode, uint64_t next_rip, struct uop *u)
{
    unsigned op = insn->op;
    if ((op >= OP_ADD && op <= OP_CMP) || op == OP_TEST)
        return alu_uop(op, place_operands(insn, insn->size, u), insn->size);
    if (op == OP_MOV || op == OP_XCHG || op == OP_LEA)
        return select_move(insn, u);
    if (op >= OP_INC && op <= OP_NEG) {
        place_generic(insn, u);
        return unary_uop(op, insn->memory, insn->size);
    }
    if (op >= OP_MOVZX8 && op <= OP_MOVSXD) {
        static const uint8_t sizes[] = {1, 2, 1, 2, 4};
        place_operands(insn, sizes[op - OP_MOVZX8], u);
        return extend_uop(op, insn->memory, insn->size);
    }
    if (op == OP_CMOV || op == OP_SETCC) {
        place_operands(insn, insn->size, u);
        return condition_uop(op, insn->sub, insn->memory, insn->size);
    }
    if ((op >= OP_JCC && op <= OP_CALL_IND) || op == OP_LOOP)
        return select_branch(insn, mode, next_rip, u);
    if (op >= OP_PUSH && op <= OP_LEAVE)
        return select_stack(insn, mode, u);
    if ((op >= OP_JMP_FAR && op <= OP_INT1) || op == OP_SYSCALL || op == OP_SYSRET || op == OP_SYSENTER ||
        op == OP_SYSEXIT)
        return select_far(insn, u);
    if (op >= OP_MOVS && op <= OP_XLAT)
        return select_string(insn, u);
    place_generic(insn, u);
    if (op >= OP_ROL && op <= OP_SAR)
        return shift_uop(insn);
    if (op == OP_SHLD || op == OP_SHRD)
        return double_shift_uop(insn);
    if ((op >= OP_MUL && op <= OP_IMUL3) || op == OP_CBW || op == OP_CWD)
        return multiply_uop(insn);
    if (op >= OP_AAA && op <= OP_AAD)
        return decimal_uop(insn);
    if (op >= OP_BT && op <= OP_CMPXCHG8B)
        return bits_uop(insn);
    if ((op >= OP_CLC && op <= OP_STD) || op == OP_LAHF || op == OP_SAHF || op == OP_NOP)
        return flags_uop(insn);
    if (op == OP_X87 || op == OP_FWAIT)
        return x87_uop(insn, u);
    if (op == OP_SSE)
        return sse_uop(insn, u);
    if (op >= OP_FXSAVE && op <= OP_CLFLUSH)
        return fx_uop(insn);
    uop_fn *fn = descriptor_uop(insn, u);
    return fn ? fn : system_uop(insn);
}

/* CR1, CR5 to CR7 and CR9 to CR15 do not exist, at any privilege level. */
static bool names_no_register(const struct insn *insn)
{
    bool control = insn->op == OP_MOV_FROM_CR || insn->op == OP_MOV_TO_CR;
    return control && !((0x11du >> insn->reg) & 1);
}

uop_fn *soft_select(const struct insn *insn, uint32_t mode, uint64_t next_rip, struct uop *u)
{
    unsigned cpl = (mode >> MODE_CPL_SHIFT) & 3;
    if (names_no_register(insn))
        return NULL;
    if ((insn->flags & OF_PROT) && !(mode & MODE_PROTECTED))
        return NULL;
    if ((insn->flags & OF_CPL0) && cpl != 0)
        return uop_general_protection;
    u->size = insn->size;
    u->flags = (uint8_t)((insn->repeat == 0xf3 ? UF_REP : 0) | (insn->repeat == 0xf2 ? UF_REPNE : 0) |
                         (insn->operand_prefix ? UF_PREFIX : 0));
    place_memory(insn, mode, next_rip, u);
    return select_family(insn, mode, next_rip, u);
}
