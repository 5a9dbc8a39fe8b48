/*
 * Runs a fuzz target without libFuzzer, so that any compiler can build it and every run is the same.
 *
 *     NAME --seed S --runs N    random inputs: the n-th depends on S and n only
 *     NAME --seed S --run N     the n-th of them alone
 *     NAME --seed S --write N   the n-th to standard output, for a file
 *     NAME FILE...              inputs from files, such as those that libFuzzer leaves behind
 *
 * Random inputs are run by a child, so that something is left to tell which of them was the last.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536

/* Marsaglia's xorshift64. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Most are short: what is wrong seldom needs more. */
static size_t make_input(uint64_t seed, uint64_t run, uint8_t *data)
{
    uint64_t state = ((seed + 1) * UINT64_C(0x9e3779b97f4a7c15)) ^ ((run + 1) * UINT64_C(0xd1342543de82ef95));
    for (unsigned i = 0; i < 8; i++)
        next_random(&state);
    size_t size = 16 + next_random(&state) % (run % 8 ? 48 : 512);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(next_random(&state) >> 32);
    return size;
}

static int run_random(const char *name, uint64_t seed, uint64_t runs)
{
    volatile uint64_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t data[1024];
    int status = 0;
    pid_t child = at == MAP_FAILED ? -1 : fork();

    if (child < 0) {
        perror(name);
        return 1;
    }
    if (child == 0) {
        for (*at = 0; *at < runs; ++*at)
            LLVMFuzzerTestOneInput(data, make_input(seed, *at, data));
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        printf("not ok - %s: input %lu\n    again: %s --seed %lu --run %lu\n", strrchr(name, '/') + 1,
               (unsigned long)*at, name, (unsigned long)seed, (unsigned long)*at);
        return 1;
    }
    printf("ok - %s: %lu inputs of seed %lu\n", strrchr(name, '/') + 1, (unsigned long)runs, (unsigned long)seed);
    return 0;
}

static int run_file(const char *name)
{
    uint8_t *data = malloc(INPUT_MAX);
    FILE *file = fopen(name, "rb");
    size_t size = 0;

    if (!data || !file) {
        perror(name);
        return 1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "--seed") == 0) {
        uint64_t seed = strtoull(words[2], NULL, 0), number = strtoull(words[4], NULL, 0);
        uint8_t data[1024];
        if (strcmp(words[3], "--runs") == 0)
            return run_random(words[0], seed, number);
        size_t size = make_input(seed, number, data);
        if (strcmp(words[3], "--write") == 0)
            return fwrite(data, size, 1, stdout) != 1;
        return LLVMFuzzerTestOneInput(data, size);
    }
    for (int i = 1; i < count; i++)
        if (run_file(words[i]) != 0)
            return 1;
    if (count < 2)
        fprintf(stderr, "usage: %s --seed S --runs N | --seed S --run N | FILE...\n", words[0]);
    return count < 2;
}
