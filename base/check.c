#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "encore: broken invariant at %s:%d: %s\n", file, line, condition);
    fprintf(stderr, "encore: this is a defect in encore, not in the guest or its log; please report it\n");
    abort();
}
