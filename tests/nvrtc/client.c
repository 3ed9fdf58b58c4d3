/* A program that uses NVRTC as programs do, and prints all that it is told. With -DLINKED it calls libnvrtc
   as what it is linked with; else it opens the first argument. The other arguments say what it does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void *Program;
#define ALL(X) \
  X(nvrtcCreateProgram, (Program *, const char *, const char *, int, const char *const *, const char *const *)) \
  X(nvrtcDestroyProgram, (Program *)) \
  X(nvrtcCompileProgram, (Program, int, const char *const *)) \
  X(nvrtcAddNameExpression, (Program, const char *)) \
  X(nvrtcGetLoweredName, (Program, const char *, const char **)) \
  X(nvrtcGetProgramLogSize, (Program, size_t *)) \
  X(nvrtcGetProgramLog, (Program, char *)) \
  X(nvrtcGetPTXSize, (Program, size_t *)) \
  X(nvrtcGetPTX, (Program, char *)) \
  X(nvrtcGetCUBINSize, (Program, size_t *)) \
  X(nvrtcGetCUBIN, (Program, char *)) \
  X(nvrtcGetLTOIRSize, (Program, size_t *)) \
  X(nvrtcGetLTOIR, (Program, char *)) \
  X(nvrtcGetOptiXIRSize, (Program, size_t *)) \
  X(nvrtcGetOptiXIR, (Program, char *)) \
  X(nvrtcVersion, (int *, int *))

#ifdef LINKED
#define X(name, args) extern int name args;
ALL(X)
#undef X
static void *find(const char *name) { return dlsym(RTLD_DEFAULT, name); }
static void bind(const char *path) { (void)path; }
#else
static void *library;
#define X(name, args) static int(*name) args;
ALL(X)
#undef X
static void *find(const char *name) { return dlsym(library, name); }
static void bind(const char *path) {
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
#define X(name, args) name = (int(*) args)dlsym(library, #name);
  ALL(X)
#undef X
}
#endif

static const char SOURCE[] =
    "template <class T> __global__ void k(T *a) { int unused; a[0] = 1; }\n"
    "__global__ void z(int *a) { a[1] = 2; }\n";

static unsigned long digest(const unsigned char *bytes, size_t size) {
  unsigned long sum = 14695981039346656037ul;
  while (size--) sum = (sum ^ *bytes++) * 1099511628211ul;
  return sum;
}

/* Size and content, by whichever two functions; a library that lacks them says nothing. */
static void artefact(Program p, const char *what) {
  char name[64];
  snprintf(name, sizeof name, "nvrtcGet%sSize", what);
  int (*size_of)(Program, size_t *) = (int (*)(Program, size_t *))find(name);
  snprintf(name, sizeof name, "nvrtcGet%s", what);
  int (*get)(Program, char *) = (int (*)(Program, char *))find(name);
  if (!size_of || !get) return;
  size_t size = 77;
  int first = size_of(p, &size);
  unsigned char *bytes = malloc(size + 9);
  memset(bytes, '#', size + 9);
  int second = get(p, (char *)bytes);
  printf("  %s: %d %zu, %d %016lx\n", what, first, size, second, digest(bytes, size + 8));
  free(bytes);
}

static void lowered(Program p, const char *expression) {
  const char *name = 0;
  int result = nvrtcGetLoweredName(p, expression, &name);
  printf("  lowered %s: %d %s\n", expression, result, result ? "-" : name);
}

/* All that a program can be asked. */
static void show(Program p) {
  static const char *const kinds[] = {"ProgramLog", "PTX", "CUBIN", "LTOIR", "OptiXIR"};
  for (int i = 0; i < 5; i++) artefact(p, kinds[i]);
  lowered(p, "k<int>");
}

/* And what it cannot. */
static void show_more(Program p) {
  show(p);
  lowered(p, "k<int> ");
  lowered(p, "unheard_of");
}

static Program make(const char *source, const char *name) {
  Program p = 0;
  int made = nvrtcCreateProgram(&p, source, name, 0, 0, 0);
  int added = nvrtcAddNameExpression(p, "k<int>");
  printf("  made %d %d\n", made, added);
  return p;
}

static int compile(Program p, const char *one, const char *two) {
  const char *options[] = {one, two};
  return nvrtcCompileProgram(p, two ? 2 : 1, options);
}

static void compile_show(Program p, const char *one, const char *two) {
  int result = compile(p, one, two);
  printf("%s %s: compiled %d\n", one, two ? two : "", result);
  show(p);
}

static void whole(const char *one, const char *two) {
  Program p = make(SOURCE, "x.cu");
  compile_show(p, one, two);
  printf("  gone %d", nvrtcDestroyProgram(&p));
  printf(" %p\n", p);
}

static void basic(void) { whole("-arch=sm_80", 0); }

static void kinds(void) {
  whole("-arch=sm_80", 0);
  whole("-arch=compute_80", 0);
  whole("-arch=sm_80", "-dlto");
  whole("-arch=compute_80", "--optix-ir");
  whole("-arch=sm_80", "-lineinfo");
}

/* What a hit does not hold is compiled after all. */
static void rare(void) {
  Program p = make(SOURCE, "x.cu");
  printf("compiled %d\n", compile(p, "-arch=sm_80", "-dlto"));
  artefact(p, "NVVM");
  artefact(p, "TileIR");
  artefact(p, "LTOIR");
  int (*status)(Program) = (int (*)(Program))find("nvrtcGetPCHCreateStatus");
  if (status) printf("  pch %d\n", status(p));
  nvrtcDestroyProgram(&p);
}

/* Asks only when the header has gone and the working directory is another one. */
static void late(void) {
  FILE *header = fopen("gone.h", "w");
  fputs("#define T int\n", header);
  fclose(header);
  usleep(40000);
  Program p = make("#include \"gone.h\"\n__global__ void z() {}\ntemplate <class U> __global__ void k(U *a) { a[0] = T(1); }\n", "x.cu");
  printf("compiled %d\n", compile(p, "-arch=sm_80", 0));
  remove("gone.h");
  if (chdir("/")) exit(2);
  static const char *const kinds[] = {"ProgramLog", "PTX", "CUBIN", "LTOIR", "OptiXIR", "NVVM", "TileIR"};
  for (int i = 0; i < 7; i++) artefact(p, kinds[i]);
  lowered(p, "k<int>");
  lowered(p, "k<float>");
  printf("  late name %d\n", nvrtcAddNameExpression(p, "k<float>"));
  printf("  no place %d %d %d\n", nvrtcGetPTXSize(p, 0), nvrtcGetCUBIN(p, 0), nvrtcGetProgramLog(p, 0));
  int (*status)(Program) = (int (*)(Program))find("nvrtcGetPCHCreateStatus");
  int (*heap)(Program, size_t *) = (int (*)(Program, size_t *))find("nvrtcGetPCHHeapSizeRequired");
  size_t size = 7;
  if (status && heap) printf("  pch %d %d %d %zu\n", status(p), heap(p, 0), heap(p, &size), size);
  show(p);
  nvrtcDestroyProgram(&p);
}

static void log_of(const char *option) {
  const char *source = "__device__ int f(int a) { return a * a; }\n__global__ void k(int *a) { a[0] = f(a[1]); }\n";
  Program p = 0;
  nvrtcCreateProgram(&p, source, "x.cu", 0, 0, 0);
  printf("%s: compiled %d\n", option, compile(p, "-arch=sm_80", option));
  size_t size = 0;
  nvrtcGetProgramLogSize(p, &size);
  char *log = malloc(size + 1);
  nvrtcGetProgramLog(p, log);
  printf("%s\n", log);
  free(log);
  nvrtcDestroyProgram(&p);
}

/* Remarks that one compile asks for are in the logs of those after it, in children too. */
static void remarks(void) {
  log_of("-DFIRST");
  log_of("-opt-info=inline");
  log_of("-DFIRST");
  log_of("-DSECOND");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    log_of("-DFIRST");
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
}

static void again(void) {
  Program p = make(SOURCE, "x.cu");
  compile_show(p, "-arch=sm_80", 0);
  compile_show(p, "-arch=compute_80", 0);
  compile_show(p, "-arch=sm_80", "-dlto");
  compile_show(p, "-arch=sm_90", 0);
  compile_show(p, "-nonsense", 0);
  nvrtcDestroyProgram(&p);
}

static void codes(void) {
  Program p = make(SOURCE, "x.cu");
  show_more(p);
  compile_show(p, "-arch=sm_80", 0);
  printf("late name %d\n", nvrtcAddNameExpression(p, "k<float>"));
  printf("no place %d %d\n", nvrtcGetPTXSize(p, 0), nvrtcGetCUBIN(p, 0));
  printf("no options %d\n", nvrtcCompileProgram(p, 1, 0));
  printf("fewer than none %d\n", nvrtcCompileProgram(p, -1, 0));
  show_more(p);
  printf("gone %d %d\n", nvrtcDestroyProgram(&p), nvrtcDestroyProgram(&p));
  printf("no program %d %d\n", nvrtcDestroyProgram(0), nvrtcCompileProgram(0, 0, 0));
  printf("no source %d\n", nvrtcCreateProgram(&p, 0, "x", 0, 0, 0));
  p = make("__global__ void k(int *a) { a[0] = q; }", "bad.cu");
  compile_show(p, "-arch=sm_80", 0);
  nvrtcDestroyProgram(&p);
  p = make(SOURCE, 0);
  compile_show(p, "-nonsense", 0);
  printf("name %d\n", nvrtcAddNameExpression(p, "k<float>"));
  compile_show(p, "-arch=sm_80", 0);
  nvrtcDestroyProgram(&p);
}

static int callback(void *payload, void *unused) {
  (void)unused;
  ++*(int *)payload;
  return 0;
}

/* The client counts how often it is called back: never by a hit. */
static void callbacks(void) {
  Program p = make(SOURCE, "x.cu");
  int calls = 0;
  int (*set)(Program, int (*)(void *, void *), void *) =
      (int (*)(Program, int (*)(void *, void *), void *))find("nvrtcSetFlowCallback");
  printf("set %d\n", set(p, callback, &calls));
  compile_show(p, "-arch=sm_80", 0);
  printf("called back %s\n", calls ? "often" : "never");
  nvrtcDestroyProgram(&p);
}

/* Asks for remarks in a compile that calls back. */
static void called_back_remarks(void) {
  log_of("-DFIRST");
  Program p = make(SOURCE, "x.cu");
  int calls = 0;
  int (*set)(Program, int (*)(void *, void *), void *) =
      (int (*)(Program, int (*)(void *, void *), void *))find("nvrtcSetFlowCallback");
  printf("set %d\n", set(p, callback, &calls));
  compile_show(p, "-opt-info=inline", 0);
  nvrtcDestroyProgram(&p);
  log_of("-DFIRST");
  log_of("-DSECOND");
}

static void second_log(void) { log_of("-DSECOND"); }

static void headers(void) {
  Program p = 0;
  const char *texts[] = {"#define A 1\n", "#include \"a.h\"\n"};
  const char *names[] = {"a.h", "sub/b.h"};
  nvrtcCreateProgram(&p, "#include <sub/b.h>\n__global__ void k(int *a) { a[A] = A; }\n", "x.cu", 2, texts, names);
  compile_show(p, "-arch=sm_80", 0);
  nvrtcDestroyProgram(&p);
}

/* Reads found.h through -I, from the working directory and by __has_include. */
static void includes(void) {
  Program p = 0;
  const char *source =
      "#include <found.h>\n#include \"near.h\"\n#if __has_include(<maybe.h>)\n#define B 5\n#else\n#define B 3\n#endif\n"
      "extern \"C\" __global__ void k(int *a) { a[B] = FOUND + NEAR; }\n";
  nvrtcCreateProgram(&p, source, "sub/x.cu", 0, 0, 0);
  const char *options[] = {"-arch=sm_80", "-Ifirst", "-Isecond", "-I."};
  printf("compiled %d\n", nvrtcCompileProgram(p, 4, options));
  artefact(p, "PTX");
  artefact(p, "ProgramLog");
  nvrtcDestroyProgram(&p);
}

static void *one_of_many(void *number) {
  char source[200];
  snprintf(source, sizeof source, "extern \"C\" __global__ void k(int *a) { a[%ld] = 1; }", (long)number);
  Program p = 0;
  nvrtcCreateProgram(&p, source, "many.cu", 0, 0, 0);
  int result = compile(p, "-arch=sm_80", 0);
  size_t size = 0;
  nvrtcGetPTXSize(p, &size);
  char *ptx = malloc(size + 1);
  nvrtcGetPTX(p, ptx);
  unsigned long sum = digest((unsigned char *)ptx, size) + (unsigned long)result;
  free(ptx);
  nvrtcDestroyProgram(&p);
  return (void *)sum;
}

static void threads(void) {
  pthread_t workers[8];
  for (long i = 0; i < 8; i++) pthread_create(&workers[i], 0, one_of_many, (void *)i);
  for (int i = 0; i < 8; i++) {
    void *sum;
    pthread_join(workers[i], &sum);
    printf("%d: %lx\n", i, (unsigned long)sum);
  }
}

/* A child goes on with its parent's program, and makes one of its own. */
static void forks(void) {
  Program p = make(SOURCE, "x.cu");
  printf("compiled %d\n", compile(p, "-arch=sm_80", 0));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    show(p);
    whole("-arch=sm_80", 0);
    fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("child %d\n", status);
  show(p);
}

static volatile int over;
static void *keep_making(void *unused) {
  (void)unused;
  while (!over) {
    Program p = 0;
    nvrtcCreateProgram(&p, SOURCE, "x.cu", 0, 0, 0);
    nvrtcGetPTXSize(p, &(size_t){0});
    nvrtcDestroyProgram(&p);
  }
  return 0;
}

/* Children are made while other threads are in the library; each of them must come to its end. */
static void busy_forks(void) {
  Program p = make(SOURCE, "x.cu");
  printf("compiled %d\n", compile(p, "-arch=sm_80", 0));
  pthread_t workers[2];
  for (int i = 0; i < 2; i++) pthread_create(&workers[i], 0, keep_making, 0);
  int failed = 0;
  for (int i = 0; i < 50; i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      size_t size = 0;
      _exit(nvrtcGetPTXSize(p, &size) || size < 2);
    }
    int status = 0;
    waitpid(child, &status, 0);
    failed += status != 0;
  }
  over = 1;
  for (int i = 0; i < 2; i++) pthread_join(workers[i], 0);
  printf("failed %d\n", failed);
}

/* NVRTC's own directory of the other major comes second. */
static void version(void) {
  int major = 0, minor = 0;
  nvrtcVersion(&major, &minor);
  printf("NVRTC %d.%d\n", major, minor);
}

#ifndef LINKED
static void reload(const char *path) {
  for (int i = 0; i < 12; i++) {
    basic();
    dlclose(library);
    bind(path);
  }
  basic();
}
#endif

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    const char *what = arguments[i];
    printf("== %s\n", strchr(what, '/') || strstr(what, ".so") ? "library" : what);
    if (!strcmp(what, "basic")) basic();
    else if (!strcmp(what, "kinds")) kinds();
    else if (!strcmp(what, "rare")) rare();
    else if (!strcmp(what, "late")) late();
    else if (!strcmp(what, "remarks")) remarks();
    else if (!strcmp(what, "again")) again();
    else if (!strcmp(what, "codes")) codes();
    else if (!strcmp(what, "callbacks")) callbacks();
    else if (!strcmp(what, "second_log")) second_log();
    else if (!strcmp(what, "called_back_remarks")) called_back_remarks();
    else if (!strcmp(what, "headers")) headers();
    else if (!strcmp(what, "includes")) includes();
    else if (!strcmp(what, "threads")) threads();
    else if (!strcmp(what, "forks")) forks();
    else if (!strcmp(what, "busy_forks")) busy_forks();
    else if (!strcmp(what, "version")) version();
#ifndef LINKED
    else if (!strcmp(what, "reload")) reload(arguments[1]);
#endif
    else bind(what);
  }
  return 0;
}
