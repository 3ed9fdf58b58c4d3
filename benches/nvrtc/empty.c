/* The least that a library could be which ld.so loads as auditor and preloaded. */
unsigned la_version(unsigned version) { return version; }
unsigned la_objopen(void *object, long namespace, void *cookie) { return 0; }
