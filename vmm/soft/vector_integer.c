/*
 * MMX and SSE2 integer operations, and the bitwise and shuffling ones of SSE: the host's instructions.
 */
#include "vmm/soft/vector.h"

typedef struct {
    uint8_t bytes[16];
} vec128;

typedef struct {
    uint8_t bytes[8];
} vec64;

#define XMM_OP(name)                                                                                                   \
    static void xmm_##name(uint8_t *d, const uint8_t *s)                                                               \
    {                                                                                                                  \
        __asm__ volatile("movups %0, %%xmm0\n\tmovups %1, %%xmm1\n\t" #name " %%xmm1, %%xmm0\n\tmovups %%xmm0, %0"     \
                         : "+m"(*(vec128 *)d)                                                                          \
                         : "m"(*(const vec128 *)s)                                                                     \
                         : "xmm0", "xmm1");                                                                            \
    }

/* EMMS leaves the host's x87 stack empty, as its calling convention wants it. */
#define MMX_OP(name)                                                                                                   \
    static void mmx_##name(uint8_t *d, const uint8_t *s)                                                               \
    {                                                                                                                  \
        __asm__ volatile("movq %0, %%mm0\n\tmovq %1, %%mm1\n\t" #name " %%mm1, %%mm0\n\tmovq %%mm0, %0\n\temms"        \
                         : "+m"(*(vec64 *)d)                                                                           \
                         : "m"(*(const vec64 *)s)                                                                      \
                         : "mm0", "mm1");                                                                              \
    }

/* Opcode, name and bytes of the MMX form's memory operand. */
#define BOTH_OPS(X)                                                                                                    \
    X(0x60, punpcklbw, 4)                                                                                              \
    X(0x61, punpcklwd, 4)                                                                                              \
    X(0x62, punpckldq, 4)                                                                                              \
    X(0x63, packsswb, 8)                                                                                               \
    X(0x64, pcmpgtb, 8)                                                                                                \
    X(0x65, pcmpgtw, 8)                                                                                                \
    X(0x66, pcmpgtd, 8)                                                                                                \
    X(0x67, packuswb, 8)                                                                                               \
    X(0x68, punpckhbw, 8)                                                                                              \
    X(0x69, punpckhwd, 8)                                                                                              \
    X(0x6a, punpckhdq, 8)                                                                                              \
    X(0x6b, packssdw, 8)                                                                                               \
    X(0x74, pcmpeqb, 8)                                                                                                \
    X(0x75, pcmpeqw, 8)                                                                                                \
    X(0x76, pcmpeqd, 8)                                                                                                \
    X(0xd1, psrlw, 8)                                                                                                  \
    X(0xd2, psrld, 8)                                                                                                  \
    X(0xd3, psrlq, 8)                                                                                                  \
    X(0xd4, paddq, 8)                                                                                                  \
    X(0xd5, pmullw, 8)                                                                                                 \
    X(0xd8, psubusb, 8)                                                                                                \
    X(0xd9, psubusw, 8)                                                                                                \
    X(0xda, pminub, 8)                                                                                                 \
    X(0xdb, pand, 8)                                                                                                   \
    X(0xdc, paddusb, 8)                                                                                                \
    X(0xdd, paddusw, 8)                                                                                                \
    X(0xde, pmaxub, 8)                                                                                                 \
    X(0xdf, pandn, 8)                                                                                                  \
    X(0xe0, pavgb, 8)                                                                                                  \
    X(0xe1, psraw, 8)                                                                                                  \
    X(0xe2, psrad, 8)                                                                                                  \
    X(0xe3, pavgw, 8)                                                                                                  \
    X(0xe4, pmulhuw, 8)                                                                                                \
    X(0xe5, pmulhw, 8)                                                                                                 \
    X(0xe8, psubsb, 8)                                                                                                 \
    X(0xe9, psubsw, 8)                                                                                                 \
    X(0xea, pminsw, 8)                                                                                                 \
    X(0xeb, por, 8)                                                                                                    \
    X(0xec, paddsb, 8)                                                                                                 \
    X(0xed, paddsw, 8)                                                                                                 \
    X(0xee, pmaxsw, 8)                                                                                                 \
    X(0xef, pxor, 8)                                                                                                   \
    X(0xf1, psllw, 8)                                                                                                  \
    X(0xf2, pslld, 8)                                                                                                  \
    X(0xf3, psllq, 8)                                                                                                  \
    X(0xf4, pmuludq, 8)                                                                                                \
    X(0xf5, pmaddwd, 8)                                                                                                \
    X(0xf6, psadbw, 8)                                                                                                 \
    X(0xf8, psubb, 8)                                                                                                  \
    X(0xf9, psubw, 8)                                                                                                  \
    X(0xfa, psubd, 8)                                                                                                  \
    X(0xfb, psubq, 8)                                                                                                  \
    X(0xfc, paddb, 8)                                                                                                  \
    X(0xfd, paddw, 8)                                                                                                  \
    X(0xfe, paddd, 8)

/* Prefix, opcode and name of those for XMM registers alone. */
#define XMM_OPS(X)                                                                                                     \
    X(1, 0x6c, punpcklqdq)                                                                                             \
    X(1, 0x6d, punpckhqdq)                                                                                             \
    X(0, 0x14, unpcklps)                                                                                               \
    X(0, 0x15, unpckhps)                                                                                               \
    X(1, 0x14, unpcklpd)                                                                                               \
    X(1, 0x15, unpckhpd)                                                                                               \
    X(0, 0x54, andps)                                                                                                  \
    X(0, 0x55, andnps)                                                                                                 \
    X(0, 0x56, orps)                                                                                                   \
    X(0, 0x57, xorps)                                                                                                  \
    X(1, 0x54, andpd)                                                                                                  \
    X(1, 0x55, andnpd)                                                                                                 \
    X(1, 0x56, orpd)                                                                                                   \
    X(1, 0x57, xorpd)

#define DEFINE_BOTH(opcode, name, memory) XMM_OP(name) MMX_OP(name)
#define DEFINE_XMM(prefix, opcode, name)  XMM_OP(name)

BOTH_OPS(DEFINE_BOTH)
XMM_OPS(DEFINE_XMM)

#define MMX_ENTRY(opcode, name, memory)  [0][opcode] = {mmx_##name, VEC_MMX, memory},
#define BOTH_ENTRY(opcode, name, memory) [1][opcode] = {xmm_##name, VEC_INTEGER, 16},
#define XMM_ENTRY(prefix, opcode, name)  [prefix][opcode] = {xmm_##name, VEC_INTEGER, 16},

const struct vec_op vec_integer_ops[4][256] = {BOTH_OPS(MMX_ENTRY) BOTH_OPS(BOTH_ENTRY) XMM_OPS(XMM_ENTRY)};
