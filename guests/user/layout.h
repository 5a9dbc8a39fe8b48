/* Where things are for the user guest: see user.ld and paging.h. */
#ifndef GUEST_USER_LAYOUT_H
#define GUEST_USER_LAYOUT_H

#include <stdint.h>

#define USER_PROGRAM UINT64_C(0x00200000) /* code and constants, one page of 2 MiB, readable by every task */
#define USER_MEMORY  UINT64_C(0x00400000) /* the tasks' memory: USER_AREA bytes for each */
#define USER_AREA    UINT64_C(0x00800000) /* 8 MiB: memory to work on from its start, the stack from its end */

#define USER_TASKS 4

#endif
