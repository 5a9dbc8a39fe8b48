/*
 * The program that runs at CPL 3: first the primes below a bound by trial division, then rounds of hashing and
 * rewriting its memory. Each round is about one million instructions without a system call, so that a timer interrupt
 * lands inside plain computing. If so many ticks of the timer have not come by then, it goes on until they have. What
 * it prints depends on its number and the rounds only.
 *
 * This file is linked apart from the kernel (user.ld): it may call nothing but what is in it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guests/user/layout.h"
#include "guests/user/syscall.h"

#define PRIME_BOUND   20000u
#define ROUND_WORDS   (128u * 1024u) /* 1 MiB of memory in each round */
#define AREA_WORKING  (4u * 1024u * 1024u)
#define KERNEL_MEMORY 0x100000ull
#define LINE_MAX      96

static inline int64_t system_call(uint64_t number, uint64_t first, uint64_t second)
{
    int64_t result;
    __asm__ volatile(SYSCALL_INSTRUCTION : "=a"(result) : "a"(number), "D"(first), "S"(second) : "memory");
    return result;
}

struct line {
    char text[LINE_MAX];
    uint64_t length;
};

static void put(struct line *line, const char *text)
{
    while (*text && line->length < LINE_MAX)
        line->text[line->length++] = *text++;
}

static void put_number(struct line *line, uint64_t value, unsigned base)
{
    char digits[21];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        unsigned digit = (unsigned)(value % base);
        *--at = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
        value /= base;
    } while (value != 0);
    put(line, at);
}

static unsigned count_primes(unsigned bound)
{
    unsigned count = 0;
    for (unsigned n = 2; n < bound; n++) {
        bool prime = true;
        for (unsigned d = 2; d * d <= n && prime; d++)
            prime = n % d != 0;
        count += prime;
    }
    return count;
}

/* FNV-1a over 64-bit words, each word replaced by the hash so far: every round reads what the last one wrote. */
static uint64_t hash_round(uint64_t *words, uint64_t count, uint64_t hash)
{
    for (uint64_t i = 0; i < count; i++) {
        hash = (hash ^ words[i]) * 0x100000001b3ull;
        words[i] = hash;
    }
    return hash;
}

/* Entered by the kernel with a stack and these arguments, at the start of the program's page. */
_Noreturn void program_start(uint64_t number, uint64_t rounds, uint64_t fault, uint64_t ticks)
    __attribute__((section(".text.program_start")));

void program_start(uint64_t number, uint64_t rounds, uint64_t fault, uint64_t ticks)
{
    uint64_t *memory = (uint64_t *)(USER_MEMORY + number * USER_AREA);
    uint64_t hash = 0xcbf29ce484222325ull + number;
    unsigned primes = count_primes(PRIME_BOUND);
    uint64_t places = AREA_WORKING / (ROUND_WORDS * sizeof *memory);
    for (uint64_t round = 0; round < rounds; round++) {
        hash = hash_round(memory + (round % places) * ROUND_WORDS, ROUND_WORDS, hash);
        if (round % 64 == 63)
            system_call(SYSCALL_YIELD, 0, 0);
    }
    for (uint64_t round = 0; (uint64_t)system_call(SYSCALL_TIME, 0, 0) < ticks; round++)
        hash_round(memory + (round % places) * ROUND_WORDS, ROUND_WORDS, hash);
    struct line line;
    line.length = 0;
    put(&line, "task ");
    put_number(&line, number, 10);
    put(&line, ": ");
    put_number(&line, primes, 10);
    put(&line, " primes, hash ");
    put_number(&line, hash, 16);
    put(&line, "\n");
    system_call(SYSCALL_WRITE, (uint64_t)line.text, line.length);
    if (fault)
        *(volatile uint64_t *)KERNEL_MEMORY = hash;
    system_call(SYSCALL_EXIT, primes == 2262 ? 0 : 1, 0);
    for (;;)
        ;
}
