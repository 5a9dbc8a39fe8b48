#include "tools/commands.h"
int command_doctor(int argc, char **argv)
{
    (void)argc, (void)argv;
    return 2;
}
