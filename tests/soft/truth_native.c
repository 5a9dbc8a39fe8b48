/*
 * The native side of the truth harness.
 *
 * The kernel loads and saves a whole processor for us: a signal to ourselves opens a signal frame, the handler writes
 * the case's registers into it, and returning from the handler starts the case with them. The case ends in a trap or a
 * fault, whose frame holds all that is to be compared; there the handler puts the harness's own registers back. No
 * assembly is needed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/check.h"
#include "tests/soft/truth.h"

#define FXSAVE_SIZE 512

struct truth_native {
    const struct truth_case *running; /* NULL while the harness itself runs */
    struct truth_state *after;
    gregset_t gregs; /* the harness's own */
    uint8_t fxsave[FXSAVE_SIZE];
    void *stack;   /* of the signal handler */
    uint8_t *code; /* where the code pages can be written */
    unsigned dirty_offset, dirty_length;
};

/* A signal handler is given no pointer of ours, so it needs a place to find one. */
static struct truth_native *handling;

static const int greg_of[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void load(ucontext_t *context, const struct truth_state *state)
{
    greg_t *gregs = context->uc_mcontext.gregs;
    uint8_t *fx = (uint8_t *)context->uc_mcontext.fpregs;
    for (unsigned i = 0; i < 16; i++)
        gregs[greg_of[i]] = (greg_t)state->gprs[i];
    gregs[REG_RIP] = (greg_t)state->rip;
    gregs[REG_EFL] = (greg_t)state->rflags;
    memcpy(fx, &state->fcw, 2);
    memcpy(fx + 2, &state->fsw, 2);
    memset(fx + 4, 0, 20);
    fx[4] = state->ftw;
    memcpy(fx + 24, &state->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(fx + 32 + 16 * i, state->st[i], 10);
    memcpy(fx + 160, state->xmm, 256);
    /* XSTATE_BV: x87 and SSE are to be loaded from here rather than initialised (SDM vol. 1, 13.8). */
    uint32_t magic;
    memcpy(&magic, fx + 464, sizeof magic);
    if (magic == 0x46505853)
        fx[512] |= 3;
}

static void save(const ucontext_t *context, struct truth_state *state)
{
    const greg_t *gregs = context->uc_mcontext.gregs;
    const uint8_t *fx = (const uint8_t *)context->uc_mcontext.fpregs;
    for (unsigned i = 0; i < 16; i++)
        state->gprs[i] = (uint64_t)gregs[greg_of[i]];
    state->rip = (uint64_t)gregs[REG_RIP];
    state->rflags = (uint64_t)gregs[REG_EFL];
    state->vector = (unsigned)gregs[REG_TRAPNO];
    state->error_code = (uint64_t)gregs[REG_ERR];
    state->cr2 = (uint64_t)gregs[REG_CR2];
    memcpy(&state->fcw, fx, 2);
    memcpy(&state->fsw, fx + 2, 2);
    state->ftw = fx[4];
    memcpy(&state->mxcsr, fx + 24, 4);
    for (unsigned i = 0; i < 8; i++)
        memcpy(state->st[i], fx + 32 + 16 * i, 10);
    memcpy(state->xmm, fx + 160, 256);
}

static void handle(int signal, siginfo_t *info, void *argument)
{
    /* The kernel leaves AC and NT as the case had them. */
    __writeeflags(0x202);
    (void)info;
    ucontext_t *context = argument;
    struct truth_native *n = handling;
    if (signal == SIGUSR1) {
        memcpy(n->gregs, context->uc_mcontext.gregs, sizeof n->gregs);
        memcpy(n->fxsave, context->uc_mcontext.fpregs, FXSAVE_SIZE);
        load(context, &n->running->before);
        return;
    }
    if (!n->running) {
        dprintf(2, "not ok - the harness itself died of signal %d at %llx\n", signal,
                (unsigned long long)context->uc_mcontext.gregs[REG_RIP]);
        _exit(99);
    }
    save(context, n->after);
    n->running = NULL;
    memcpy(context->uc_mcontext.gregs, n->gregs, sizeof n->gregs);
    memcpy(context->uc_mcontext.fpregs, n->fxsave, FXSAVE_SIZE);
}

static void map(uint64_t address, size_t size, int protection, int file)
{
    int flags = MAP_FIXED_NOREPLACE | (file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *got = mmap((void *)(uintptr_t)address, size, protection, flags, file, 0);
    CHECK(got == (void *)(uintptr_t)address);
}

struct truth_native *truth_native_new(void)
{
    static const int signals[] = {SIGUSR1, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct truth_native *n = calloc(1, sizeof *n);
    CHECK(n);
    int file = memfd_create("truth", 0);
    CHECK(file >= 0 && ftruncate(file, CODE_SIZE) == 0);
    n->code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(n->code != MAP_FAILED);
    memset(n->code, 0xcc, CODE_SIZE);
    map(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, file);
    close(file);
    map(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, -1);
    map(STACK_BASE, STACK_SIZE, PROT_READ | PROT_WRITE, -1);
    stack_t stack = {.ss_size = 256 * 1024};
    stack.ss_sp = n->stack = malloc(stack.ss_size);
    CHECK(stack.ss_sp && sigaltstack(&stack, NULL) == 0);
    handling = n;
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &action, NULL) == 0);
    return n;
}

static void set_read_only(int protection)
{
    CHECK(mprotect((void *)(uintptr_t)(DATA_BASE + DATA_RW), DATA_SIZE - DATA_RW, protection) == 0);
}

void truth_native_run(struct truth_native *n, const struct truth_case *c, struct truth_state *after,
                      struct truth_memory *memory)
{
    unsigned offset = (unsigned)(c->start - CODE_BASE);
    void *data = (void *)(uintptr_t)DATA_BASE, *stack = (void *)(uintptr_t)STACK_BASE;
    memset(n->code + n->dirty_offset, 0xcc, n->dirty_length);
    memcpy(n->code + offset, c->code, c->length);
    n->dirty_offset = offset;
    n->dirty_length = c->length;
    memcpy(data, c->memory->data, DATA_RW);
    /* The page that may only be read is filled once: it is the same in all cases. */
    if (memcmp((uint8_t *)data + DATA_RW, c->memory->data + DATA_RW, DATA_SIZE - DATA_RW) != 0) {
        set_read_only(PROT_READ | PROT_WRITE);
        memcpy((uint8_t *)data + DATA_RW, c->memory->data + DATA_RW, DATA_SIZE - DATA_RW);
        set_read_only(PROT_READ);
    }
    memcpy(stack, c->memory->stack, STACK_SIZE);
    n->after = after;
    n->running = c;
    syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(memory->data, data, DATA_SIZE);
    memcpy(memory->stack, stack, STACK_SIZE);
}
