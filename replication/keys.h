/*
 * Keys, and what their holders may do.
 *
 * `encore keygen` makes a *master key*: machines hold it. From it one key is derived for each role (libsodium's
 * crypto_kdf), and each purpose of a link (session.h) needs the key of its role: a console's holder can be a console
 * and nothing else. The master key also gives the machine an X25519 key pair of its own. Its public half is in every
 * role's key file, so that whoever connects can tell a machine from another holder of the same role's key.
 *
 * A key file is one line, readable by its owner alone: 64 hexadecimal digits for a master key; for a role
 * "encore-key ROLE KEY MACHINE", the key and the machine's public key in 64 hexadecimal digits each.
 */
#ifndef ENCORE_REPLICATION_KEYS_H
#define ENCORE_REPLICATION_KEYS_H

#include <stdint.h>

#include "base/files.h"

#define KEY_SIZE 32

enum key_role { KEY_MASTER, KEY_BACKUP, KEY_CONSOLE, KEY_OPERATOR, KEY_ROLES };

struct keys {
    enum key_role role;                   /* whose key file it was; KEY_MASTER: all keys are here */
    uint8_t of_role[KEY_ROLES][KEY_SIZE]; /* zeros where we do not hold it */
    uint8_t machine[KEY_SIZE];            /* public */
    uint8_t machine_secret[KEY_SIZE];     /* with the master key only */
};

/* "console" and so on. */
const char *key_role_name(enum key_role role);
/* The role of that name, KEY_ROLES when there is none. KEY_MASTER is not among them. */
enum key_role key_role_of_name(const char *name);

/* All keys that a master key gives. -1 with an ERROR_HOST when libsodium does not start. */
int keys_derive(const uint8_t master[KEY_SIZE], struct keys *keys, struct error *error);
/* Reads a key file, an input of the run `files`, for something that needs the key of a role (KEY_MASTER: nothing less
 * will do). Returns 0, or -1 with an ERROR_INPUT that names the file. */
int keys_read(struct files *files, const char *path, enum key_role needed, struct keys *keys, struct error *error);
/* Writes a fresh master key to a file that must not exist. Returns 0, or -1 with the error. */
int keys_write_master(const char *path, struct error *error);
/* ... the key of a role, from a master key. */
int keys_write_role(const char *path, const struct keys *master, enum key_role role, struct error *error);
/* Overwrites them. */
void keys_forget(struct keys *keys);

#endif
