/* A client of NVRTC that tells how long its compiles take: `client REPEAT THREADS LIBRARY SOURCE… -- OPTION…`.
 * Each source is compiled REPEAT times, from its making to its CUBIN. THREADS is 1 (one source after the other) or 0 (a
 * thread for each). Prints, in microseconds: for each source the first compile and the median; then the time of all. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int (*create_t)(void **, const char *, const char *, int, const char **, const char **);
typedef int (*compile_t)(void *, int, const char **);
typedef int (*size_t_t)(void *, size_t *);
typedef int (*get_t)(void *, char *);
typedef int (*destroy_t)(void **);

static create_t create;
static compile_t compile;
static size_t_t size_of;
static get_t get;
static destroy_t destroy;
static int repeat, option_count;
static const char **options;

struct job {
    const char *path;
    char *source;
    double *taken;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static void check(int failed, const char *what) {
    if (failed) {
        fprintf(stderr, "client: %s failed\n", what);
        exit(1);
    }
}

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    check(!found, name);
    return found;
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    check(!file, path);
    char *text = calloc(1, 1 << 20);
    check(fread(text, 1, (1 << 20) - 1, file) == 0, path);
    fclose(file);
    return text;
}

static void *work(void *argument) {
    struct job *job = argument;
    for (int at = 0; at < repeat; at++) {
        double began = now();
        void *program;
        size_t size;
        check(create(&program, job->source, "kernel.cu", 0, NULL, NULL), "nvrtcCreateProgram");
        check(compile(program, option_count, options), "nvrtcCompileProgram");
        check(size_of(program, &size), "nvrtcGetCUBINSize");
        char *code = malloc(size);
        check(get(program, code), "nvrtcGetCUBIN");
        free(code);
        check(destroy(&program), "nvrtcDestroyProgram");
        job->taken[at] = now() - began;
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **given) {
    check(count < 4, "reading the arguments");
    repeat = atoi(given[1]);
    int threaded = atoi(given[2]) == 0, jobs = 0, at = 4;
    void *library = dlopen(given[3], RTLD_NOW);
    check(!library, "dlopen");
    create = (create_t)find(library, "nvrtcCreateProgram");
    compile = (compile_t)find(library, "nvrtcCompileProgram");
    size_of = (size_t_t)find(library, "nvrtcGetCUBINSize");
    get = (get_t)find(library, "nvrtcGetCUBIN");
    destroy = (destroy_t)find(library, "nvrtcDestroyProgram");
    struct job *all = calloc(count, sizeof *all);
    for (; at < count && strcmp(given[at], "--"); at++) {
        all[jobs++] = (struct job){given[at], read_file(given[at]), calloc(repeat, sizeof(double))};
    }
    options = (const char **)given + at + 1;
    option_count = at < count ? count - at - 1 : 0;
    double began = now();
    pthread_t *threads = calloc(jobs, sizeof *threads);
    for (int job = 0; job < jobs; job++) {
        if (threaded) check(pthread_create(&threads[job], NULL, work, &all[job]), "pthread_create");
        else work(&all[job]);
    }
    for (int job = 0; threaded && job < jobs; job++) pthread_join(threads[job], NULL);
    double took = now() - began;
    for (int job = 0; job < jobs; job++) {
        double first = all[job].taken[0];
        qsort(all[job].taken, repeat, sizeof(double), compare);
        printf("%.1f %.1f\n", first, all[job].taken[repeat / 2]);
    }
    printf("%.1f\n", took);
    return 0;
}
