/*
 * sieve: work for the processor alone. Counts the primes up to n with the sieve of Eratosthenes, then once more without
 * it, and exits with 1 if the two disagree. Options: n=NUMBER (default 200000, about 2 M instructions), rounds=NUMBER
 * (1): how often it sieves, dots: prints one before each round.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guests/runtime/console.h"
#include "guests/runtime/exit.h"
#include "guests/runtime/options.h"
#include "guests/runtime/runtime.h"

#define SIEVE_MAX 2000000u
#define ROOT_MAX  1415u /* more than the square root of SIEVE_MAX */

/* composite[i]: the odd number 2 i + 1 has a divisor. */
static bool composite[SIEVE_MAX / 2 + 1];

/* counts of the second method, for the values n / k (large[k]) and for the values up to the root of n (small[v]) */
static uint32_t large[ROOT_MAX + 1];
static uint32_t small[ROOT_MAX + 1];

static uint32_t count_by_sieve(uint32_t n)
{
    uint32_t count = n >= 2; /* the number 2 */
    for (uint32_t i = 0; i <= n / 2; i++)
        composite[i] = false;
    for (uint32_t i = 1; 2 * i + 1 <= n; i++) {
        if (composite[i])
            continue;
        count++;
        uint32_t prime = 2 * i + 1;
        for (uint64_t multiple = (uint64_t)prime * prime; multiple <= n; multiple += 2 * (uint64_t)prime)
            composite[multiple / 2] = true;
    }
    return count;
}

/*
 * Lucy's form of Legendre's recurrence: let S(v, p) be how many numbers from 2 to v remain when all multiples of the
 * primes up to p are struck out, those primes kept. Then S(v, p) = S(v, p - 1) - (S(v / p, p - 1) - S(p - 1, p - 1))
 * for a prime p with p * p <= v. Only the values v = n / k are ever needed.
 */
static uint32_t count_by_recurrence(uint32_t n)
{
    uint32_t root = 1;
    while ((root + 1) * (root + 1) <= n)
        root++;
    for (uint32_t k = 1; k <= root; k++) {
        large[k] = n / k - 1;
        small[k] = k - 1;
    }
    for (uint32_t p = 2; p <= root; p++) {
        if (small[p] == small[p - 1])
            continue; /* not a prime */
        uint32_t below = small[p - 1];
        uint32_t square = p * p;
        for (uint32_t k = 1; k <= root && n / k >= square; k++) {
            uint32_t rest = k * p <= root ? large[k * p] : small[n / (k * p)];
            large[k] -= rest - below;
        }
        for (uint32_t v = root; v >= square; v--)
            small[v] -= small[v / p] - below;
    }
    return large[1];
}

uint32_t guest_main(const struct boot_info *info)
{
    (void)info;
    uint32_t n = (uint32_t)option_number("n", 200000, 2, SIEVE_MAX);
    uint32_t rounds = (uint32_t)option_number("rounds", 1, 1, 1000000);
    uint32_t primes = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        if (option_given("dots"))
            console_print(".");
        primes = count_by_sieve(n);
    }
    uint32_t again = count_by_recurrence(n);
    console_print("sieve: %u primes up to %u\n", primes, n);
    if (primes == again)
        return EXIT_SUCCESS;
    console_print("sieve: wrong, there are %u\n", again);
    return EXIT_FAILURE;
}
