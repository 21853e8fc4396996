// What the bindings need of the C library, and no more: a library with files and clocks would import
// WASI, which a policy does not get.
#pragma once

#include <stddef.h>

void *malloc(size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);
_Noreturn void abort(void);
