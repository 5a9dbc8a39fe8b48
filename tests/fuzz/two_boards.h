/*
 * Two boards under one script, for targets whose boards can be saved. Both must answer alike and end in the same state,
 * although a checkpoint replaces the second board by one restored from the first one's saved state.
 *
 * Another kind of checkpoint damages the saved state first, as the script says; if it is still accepted, both boards go
 * on from there. So every state that restoring accepts is run, under the sanitizers.
 *
 * A target says what a board is, and what a step does: it defines struct board and the functions that are only declared
 * here.
 */
#ifndef ENCORE_TESTS_FUZZ_TWO_BOARDS_H
#define ENCORE_TESTS_FUZZ_TWO_BOARDS_H

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/state.h"

struct board;

struct script {
    struct bytes_reader in;
    struct board *boards[2];
    uint64_t now; /* guest time, where the target has it pass */
};

/* A new board. What is not in its state, such as memory, is as `beside` has it; where that is NULL, as at power-on. */
static struct board *board_new(const struct board *beside);
static void board_free(struct board *board);
static void board_state(struct board *board, struct state *state);

/* One step of the script, on both boards. */
static void step(struct script *script);

/* The script's next number, of 1 to 8 bytes; 0 behind its end. */
static inline uint64_t take(struct script *script, unsigned width)
{
    return bytes_get_uint(&script->in, width);
}

static inline struct bytes_writer board_save(struct board *board)
{
    struct bytes_writer out = bytes_writer(1 << 20);
    struct state state = state_save(&out);
    struct error error;

    board_state(board, &state);
    CHECK(state_end(&state, &error) == 0);
    return out;
}

/* A new board from saved bytes, or NULL when they are refused. */
static inline struct board *board_restored(const struct bytes_writer *saved, const struct board *beside)
{
    struct board *board = board_new(beside);
    struct state state = state_restore(saved->data, saved->length);
    struct error error;

    board_state(board, &state);
    if (state_end(&state, &error) == 0)
        return board;
    board_free(board);
    return NULL;
}

static inline void check_saves(struct board *board, const struct bytes_writer *expected)
{
    struct bytes_writer saved = board_save(board);

    CHECK(saved.length == expected->length && memcmp(saved.data, expected->data, saved.length) == 0);
    bytes_writer_free(&saved);
}

/* Makes the second board anew from the first one's saved state. When `hostile`, so many bytes of it are changed before,
 * and if it is accepted nevertheless, both boards are made from it. */
static inline void checkpoint(struct script *script, bool hostile, unsigned changes)
{
    struct bytes_writer saved = board_save(script->boards[0]);

    check_saves(script->boards[1], &saved);
    for (unsigned i = changes; hostile && i > 0; i--) {
        size_t at = take(script, 2) % saved.length;
        saved.data[at] = (uint8_t)take(script, 1);
    }
    struct board *restored = board_restored(&saved, script->boards[0]);
    CHECK(restored || hostile);
    if (restored) {
        check_saves(restored, &saved);
        board_free(script->boards[1]);
        script->boards[1] = restored;
        if (hostile) {
            restored = board_restored(&saved, script->boards[0]);
            board_free(script->boards[0]);
            script->boards[0] = restored;
        }
    }
    bytes_writer_free(&saved);
}

/* Runs the script to its end, or so many steps of it. The caller frees the boards by script_free. */
static inline struct script script_run(const uint8_t *data, size_t size, unsigned steps)
{
    struct script script = {.in = bytes_reader(data, size), .boards = {board_new(NULL), board_new(NULL)}};

    for (unsigned i = 0; i < steps && bytes_left(&script.in) > 0; i++)
        step(&script);
    struct bytes_writer saved = board_save(script.boards[0]);
    check_saves(script.boards[1], &saved);
    bytes_writer_free(&saved);
    return script;
}

static inline void script_free(struct script *script)
{
    board_free(script->boards[0]);
    board_free(script->boards[1]);
}

#endif
