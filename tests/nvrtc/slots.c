/* `slots LIBRARY...` opens each, and says for each whether its functions lead elsewhere by now: `caught` or `alone`.
 * Then closes the first and opens the last once more, and at last opens the first in another namespace. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *say(void *library, const char *path) {
    Dl_info about;
    void *function = library ? dlsym(library, "nvrtcCompileProgram") : NULL;
    if (!function || !dladdr(function, &about)) {
        fprintf(stderr, "slots: %s: %s\n", path, dlerror());
        exit(1);
    }
    FILE *own = fopen(about.dli_fname, "rb"), *given = fopen(path, "rb");
    int same = own && given;
    for (int byte = 0; same && byte != EOF;) same = (byte = fgetc(own)) == fgetc(given);
    puts(same ? "alone" : "caught");
    return library;
}

int main(int count, char **paths) {
    void *libraries[16];
    for (int at = 1; at < count; at++) libraries[at] = say(dlopen(paths[at], RTLD_NOW), paths[at]);
    dlclose(libraries[1]);
    dlclose(libraries[count - 1]);
    say(dlopen(paths[count - 1], RTLD_NOW), paths[count - 1]);
    say(dlmopen(LM_ID_NEWLM, paths[1], RTLD_NOW), paths[1]);
    return 0;
}
