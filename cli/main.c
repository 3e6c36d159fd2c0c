/* The operator's command.  What it can do is the table in commands.c. */
#include "commands.h"

int main(int argc, char **argv)
{
    return commands_main(argc, argv);
}
