/* As much of a libnvrtc as it takes to be recognised as one. */
int nvrtcCreateProgram(void **program) { *program = program; return 0; }
int nvrtcCompileProgram(void *program) { return program == 0; }
int nvrtcDestroyProgram(void **program) { *program = 0; return 0; }
