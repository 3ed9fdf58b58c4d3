// Compiles one program with the real NVRTC and writes down what it gave, and what it was seen to do in
// the file system: this program's own `__xstat` and `fopen` come before those of the C library.
//
//   driver LIBRARY DIRECTORY NAME [--header NAME FILE]... [--expression E]... [--computing MXCSR X87] -- OPTIONS...
//
// DIRECTORY holds `source`. Status 0: compiled; 3: NVRTC refused; anything else: trouble of our own.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static FILE *seen;
static __thread int watching;

static void note(char what, const char *path) {
  int error = errno;
  if (seen && watching) fprintf(seen, "%c%s\n", what, path);
  errno = error;
}

int __xstat(int version, const char *path, struct stat *found) {
  (void)version;
  int result = stat(path, found);
  note(result ? 'A' : 'L', path);
  return result;
}

FILE *fopen(const char *path, const char *mode) {
  static FILE *(*real)(const char *, const char *);
  if (!real) real = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
  FILE *file = real(path, mode);
  note(file ? 'O' : 'A', path);
  return file;
}

static const char *directory;

static FILE *result(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "w");
  if (!file) exit(9);
  return file;
}

static char *read_all(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) exit(9);
  char *text = calloc(1, 1 << 24);
  if (fread(text, 1, (1 << 24) - 1, file) == 0 && ferror(file)) exit(9);
  fclose(file);
  return text;
}

static void *library;

static void *function(const char *name) { return dlsym(library, name); }

// Writes what `nvrtcGet<what>` gives to the file `what`, if it gives anything.
static void fetch(void *program, const char *what) {
  char name[64];
  snprintf(name, sizeof name, "nvrtcGet%sSize", what);
  int (*size)(void *, size_t *) = function(name);
  snprintf(name, sizeof name, "nvrtcGet%s", what);
  int (*get)(void *, char *) = function(name);
  size_t length = 0;
  if (!size || !get || size(program, &length) || length == 0) return;
  char *bytes = malloc(length);
  if (get(program, bytes) == 0) {
    FILE *file = result(what);
    fwrite(bytes, 1, length, file);
    fclose(file);
  }
}

static unsigned mxcsr;
static unsigned short x87;

// Compiles, in the mode of computing that was asked for.
static int compile_in_mode(int (*compile)(void *, int, const char **), void *program, int count,
                           const char **options) {
  unsigned before = 0;
  unsigned short x87_before = 0;
  if (mxcsr) {
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(before), "=m"(x87_before));
    __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(mxcsr), "m"(x87));
  }
  int refused = compile(program, count, options);
  if (mxcsr) __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(before), "m"(x87_before));
  return refused;
}

int main(int count, char **arguments) {
  const char *names[64], *texts[64], *expressions[64];
  int headers = 0, wanted = 0, at = 4;
  directory = arguments[2];
  for (; strcmp(arguments[at], "--"); at++) {
    if (!strcmp(arguments[at], "--computing")) {
      mxcsr = strtoul(arguments[++at], NULL, 16);
      x87 = strtoul(arguments[++at], NULL, 16);
    } else if (!strcmp(arguments[at], "--header")) {
      names[headers] = arguments[++at];
      texts[headers++] = read_all(arguments[++at]);
    } else {
      expressions[wanted++] = arguments[++at];
    }
  }
  at++;
  library = dlopen(arguments[1], RTLD_NOW);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 8;
  }
  char path[4096];
  snprintf(path, sizeof path, "%s/source", directory);
  char *source = read_all(path);
  int (*create)(void **, const char *, const char *, int, const char **, const char **) =
      function("nvrtcCreateProgram");
  int (*compile)(void *, int, const char **) = function("nvrtcCompileProgram");
  int (*add)(void *, const char *) = function("nvrtcAddNameExpression");
  int (*lower)(void *, const char *, const char **) = function("nvrtcGetLoweredName");
  void *program;
  if (create(&program, source, arguments[3], headers, texts, names)) return 7;
  for (int n = 0; n < wanted; n++) add(program, expressions[n]);
  seen = result("seen");
  watching = 1;
  int refused = compile_in_mode(compile, program, count - at, (const char **)arguments + at);
  watching = 0;
  fetch(program, "ProgramLog");
  if (refused) return 3;
  const char *artefacts[] = {"PTX", "CUBIN", "LTOIR", "OptiXIR"};
  for (int n = 0; n < 4; n++) fetch(program, artefacts[n]);
  FILE *lowered = result("lowered");
  for (int n = 0; n < wanted; n++) {
    const char *name;
    if (lower(program, expressions[n], &name)) return 6;
    fprintf(lowered, "%s\n%s\n", expressions[n], name);
  }
  fclose(lowered);
  return 0;
}
