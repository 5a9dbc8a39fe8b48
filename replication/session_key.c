/* Key files: one line of 64 hexadecimal digits, readable by their owner alone. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/output.h"
#include "replication/session.h"

#define TEXT (2 * SESSION_KEY + 1)

int session_read_key(struct files *files, const char *path, uint8_t key[SESSION_KEY], struct error *error)
{
    char text[TEXT + 1] = "";
    struct stat status;
    size_t length = 0;
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
    ssize_t got = private ? read(fd, text, sizeof text) : 0;
    close(fd);
    if (!private)
        return error_set(error, ERROR_INPUT, "the key %s is not a file that only its owner may read (chmod 600)", path);
    bool good = (got == TEXT || got == TEXT - 1) && (got < TEXT || text[TEXT - 1] == '\n') && sodium_init() >= 0 &&
                sodium_hex2bin(key, SESSION_KEY, text, TEXT - 1, NULL, &length, NULL) == 0 && length == SESSION_KEY;
    sodium_memzero(text, sizeof text);
    if (!good)
        return error_set(error, ERROR_INPUT, "%s is not a key: one line of 64 hexadecimal digits is needed", path);
    return 0;
}

int session_write_key(const char *path, struct error *error)
{
    const struct output_options options = {.mode = 0600};
    uint8_t key[SESSION_KEY];
    char text[TEXT + 1];
    struct error ignored;

    if (sodium_init() < 0)
        return error_set(error, ERROR_HOST, "libsodium cannot start");
    struct output *output = output_open(NULL, path, &options, error);
    if (!output)
        return error_wrap(error, "the key");
    randombytes_buf(key, sizeof key);
    sodium_bin2hex(text, sizeof text, key, sizeof key);
    text[TEXT - 1] = '\n';
    int result = output_write(output, text, TEXT, error);
    sodium_memzero(key, sizeof key);
    sodium_memzero(text, sizeof text);
    if (result == 0)
        result = output_publish(output, error);
    return output_close(output, result == 0 ? error : &ignored) < 0 ? -1 : result;
}
