/*
 * The commands of kv, one line each. A line is a command word, then its arguments between single spaces; a value is
 * the rest of the line. Replies are one line each, but for DUMP:
 *
 *   SET key value   OK | ERR table full
 *   GET key         VALUE value | NONE
 *   INCR key        VALUE number (a missing key counts as 0) | ERR not a number | ERR table full
 *   DEL key         OK | NONE
 *   DUMP            KEY key value, for each key, in table order; then END count
 *   TIME            TIME year-month-day hour:minute:second ticks number
 *   SLEEP ticks     OK, after so many timer ticks, at most 6000 | ERR not a number | ERR too long
 *   RANDOM          RANDOM, sixteen hexadecimal digits
 *   CRASH           no reply: writes through a wild pointer, which is a panic (exit value 100)
 *   QUIT            BYE, then exit value 0
 *   HELP            HELP, and the command words
 *
 * Anything else: ERR usage, ERR unknown command, ERR key too long, ERR value too long.
 */
#ifndef GUEST_KV_COMMANDS_H
#define GUEST_KV_COMMANDS_H

#include <stddef.h>

#include "guests/kv/store.h"

/* Executes one line (no line end in it) and writes the reply to the console. */
void commands_execute(struct store *store, const char *line, size_t length);

#endif
