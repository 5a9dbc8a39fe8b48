/*
 * Scripted console input (--input FILE): steps that send bytes or wait for the guest's output.
 *
 * A text file, one step a line; blank lines and lines that begin with # are passed over:
 *   send "TEXT"    sends the bytes; escapes \n \r \t \\ \" \xHH
 *   line TEXT      sends the rest of the line as it is, and a newline
 *   wait "TEXT"    waits until the guest has printed these bytes after all that earlier waits have matched
 *   file "PATH"    sends a file's bytes (relative to the script)
 *   repeat N       the lines up to the matching "end" N times; %d in them is the round, from 1
 *   end
 * Steps may be indented. Of nested repeats, %d is the round of the innermost; outside repeats it is just two bytes, and
 * \x25d is so everywhere. Files are read when the script is opened. At the end of the script no more input comes.
 * The text may have a carriage return before each newline and a byte order mark (UTF-8) before all: neither counts.
 * Limits: see SCRIPT_*.
 */
#ifndef ENCORE_VMM_HOST_SCRIPT_H
#define ENCORE_VMM_HOST_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/files.h"

#define SCRIPT_TEXT_MAX  (1u << 20) /* bytes of a script file */
#define SCRIPT_STEPS_MAX (1u << 20) /* steps after repeats are counted out */
#define SCRIPT_WAIT_MAX  4096       /* bytes of one wait's text */
#define SCRIPT_DEPTH_MAX 8          /* repeats inside one another */
#define SCRIPT_FILES_MAX (1u << 26) /* bytes of all files together */

struct script;

/* Parses a script; "-" is standard input, which is read to its end. NULL with an ERROR_INPUT "NAME:LINE: what is
 * wrong". */
struct script *script_open(struct files *files, const char *path, struct error *error);
void script_free(struct script *script);

/* Takes up to `length` bytes that are due. 0 while waiting for output, or at the end. */
size_t script_read(struct script *script, uint8_t *bytes, size_t length);

/* Whether script_read would give at least one byte now. */
bool script_ready(const struct script *script);

/* Tells what the guest printed. */
void script_output(struct script *script, const uint8_t *bytes, size_t length);

/* All steps are done. */
bool script_ended(const struct script *script);

/* While waiting: the text waited for and the line of the step, for messages; NULL otherwise. */
const char *script_waiting(const struct script *script, unsigned *line);

#endif
