/* See keys.h. */
#include "replication/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/output.h"

#define DIGITS (2 * KEY_SIZE)
/* The longest file: "encore-key operator ", two keys, a blank between, a newline. */
#define TEXT_MAX 192
#define WORD     "encore-key"
/* crypto_kdf: the keys of the roles are subkeys 1 to 3; the seed of the machine's own key pair is this one. */
#define KDF_CONTEXT "encoreky"
#define KDF_MACHINE 16

static const char *const names[KEY_ROLES] = {"master", "backup", "console", "operator"};

const char *key_role_name(enum key_role role)
{
    return names[role];
}

enum key_role key_role_of_name(const char *name)
{
    enum key_role role = KEY_BACKUP;

    while (role < KEY_ROLES && strcmp(names[role], name) != 0)
        role++;
    return role;
}

int keys_derive(const uint8_t master[KEY_SIZE], struct keys *keys, struct error *error)
{
    *keys = (struct keys){.role = KEY_MASTER};
    if (sodium_init() < 0)
        return error_set(error, ERROR_HOST, "libsodium cannot start");
    memcpy(keys->of_role[KEY_MASTER], master, KEY_SIZE);
    for (unsigned role = KEY_BACKUP; role < KEY_ROLES; role++)
        crypto_kdf_derive_from_key(keys->of_role[role], KEY_SIZE, role, KDF_CONTEXT, master);
    crypto_kdf_derive_from_key(keys->machine_secret, KEY_SIZE, KDF_MACHINE, KDF_CONTEXT, master);
    crypto_scalarmult_base(keys->machine, keys->machine_secret);
    return 0;
}

void keys_forget(struct keys *keys)
{
    sodium_memzero(keys, sizeof *keys);
}

/* The file's one line, without its newline. */
static int read_line(struct files *files, const char *path, char text[TEXT_MAX], struct error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        error_errno(error, "cannot open the key %s", path);
        error->kind = ERROR_INPUT;
        return -1;
    }
    if (files_add_input(files, fd, path, error) < 0) {
        close(fd);
        return -1;
    }
    bool private = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) == 0;
    ssize_t got = private ? read(fd, text, TEXT_MAX - 1) : 0;
    close(fd);
    if (!private)
        return error_set(error, ERROR_INPUT, "the key %s is not a file that only its owner may read (chmod 600)", path);
    text[got > 0 ? got : 0] = 0;
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] == '\n')
        text[length - 1] = 0;
    return 0;
}

/* 64 digits, and then `end`. */
static bool parse_key(const char *text, char end, uint8_t key[KEY_SIZE])
{
    size_t length = 0;

    return strnlen(text, DIGITS) == DIGITS && text[DIGITS] == end &&
           sodium_hex2bin(key, KEY_SIZE, text, DIGITS, NULL, &length, NULL) == 0 && length == KEY_SIZE;
}

static bool parse_role(const char *text, struct keys *keys)
{
    char role[16] = "";
    int at = 0;

    if (sscanf(text, WORD " %15s %n", role, &at) != 1 || at == 0)
        return false;
    keys->role = key_role_of_name(role);
    return keys->role < KEY_ROLES && parse_key(text + at, ' ', keys->of_role[keys->role]) &&
           parse_key(text + at + DIGITS + 1, 0, keys->machine);
}

static int parse(const char *text, struct keys *keys, struct error *error)
{
    uint8_t master[KEY_SIZE];
    int status = -1;

    *keys = (struct keys){0};
    if (parse_key(text, 0, master))
        status = keys_derive(master, keys, error);
    else if (parse_role(text, keys))
        status = 0;
    else
        error_set(error, ERROR_INPUT, "this is not a key (encore keygen makes one)");
    sodium_memzero(master, sizeof master);
    return status;
}

int keys_read(struct files *files, const char *path, enum key_role needed, struct keys *keys, struct error *error)
{
    char text[TEXT_MAX];

    if (sodium_init() < 0)
        return error_set(error, ERROR_HOST, "libsodium cannot start");
    if (read_line(files, path, text, error) < 0)
        return -1;
    int status = parse(text, keys, error);
    sodium_memzero(text, sizeof text);
    if (status < 0)
        return error_wrap(error, "%s", path);
    if (keys->role == KEY_MASTER || keys->role == needed)
        return 0;
    error_set(error, ERROR_INPUT, "%s is a key of the role %s; %s is needed here", path, names[keys->role],
              needed == KEY_MASTER     ? "the master key, which a machine that listens must have,"
              : needed == KEY_BACKUP   ? "the role backup's, or the master key,"
              : needed == KEY_OPERATOR ? "the role operator's, or the master key,"
                                       : "the role console's, or the master key,");
    keys_forget(keys);
    return -1;
}

static int write_line(const char *path, const char *text, struct error *error)
{
    const struct output_options options = {.mode = 0600};
    struct output *output = output_open(NULL, path, &options, error);
    struct error ignored;

    if (!output)
        return error_wrap(error, "the key");
    int result = output_write(output, text, strlen(text), error);
    if (result == 0)
        result = output_publish(output, error);
    return output_close(output, result == 0 ? error : &ignored) < 0 ? -1 : result;
}

int keys_write_master(const char *path, struct error *error)
{
    uint8_t key[KEY_SIZE];
    char digits[DIGITS + 1], text[TEXT_MAX];

    if (sodium_init() < 0)
        return error_set(error, ERROR_HOST, "libsodium cannot start");
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(digits, sizeof digits, key, sizeof key);
    snprintf(text, sizeof text, "%s\n", digits);
    int status = write_line(path, text, error);
    sodium_memzero(key, sizeof key);
    sodium_memzero(digits, sizeof digits);
    sodium_memzero(text, sizeof text);
    return status;
}

int keys_write_role(const char *path, const struct keys *master, enum key_role role, struct error *error)
{
    char key[DIGITS + 1], machine[DIGITS + 1], text[TEXT_MAX];

    sodium_bin2hex(key, sizeof key, master->of_role[role], KEY_SIZE);
    sodium_bin2hex(machine, sizeof machine, master->machine, KEY_SIZE);
    snprintf(text, sizeof text, WORD " %s %s %s\n", names[role], key, machine);
    int status = write_line(path, text, error);
    sodium_memzero(key, sizeof key);
    sodium_memzero(text, sizeof text);
    return status;
}
