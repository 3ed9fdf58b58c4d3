/* The least that `pcache run` could be: `launcher LIBRARY PROGRAM ARGUMENT...` becomes the program, with the library as
 * auditor and preloaded. */
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 3) return 2;
    setenv("LD_AUDIT", arguments[1], 1);
    setenv("LD_PRELOAD", arguments[1], 1);
    execv(arguments[2], arguments + 2);
    return 127;
}
