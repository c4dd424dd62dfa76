# SPDX-License-Identifier: MIT
# Compiler flags of everything that is varve's own, as the target varve_flags.
add_library(varve_flags INTERFACE)
target_compile_definitions(varve_flags INTERFACE
  _GNU_SOURCE
  VARVE_VERSION="${PROJECT_VERSION}"
  VARVE_AUDIT=$<BOOL:${VARVE_AUDIT}>
  VARVE_GC_STRESS=$<BOOL:${VARVE_GC_STRESS}>
  VARVE_WITH_TRACE=$<BOOL:${VARVE_TRACE}>
  VARVE_CLASSIC=$<STREQUAL:${VARVE_GEOMETRY},classic>)
target_compile_options(varve_flags INTERFACE
  -Wall -Wextra -Wshadow -Wundef -Wcast-qual -Wvla -Wpointer-arith -Wformat=2
  $<$<COMPILE_LANGUAGE:C>:-Wconversion -Wno-sign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition>
  $<$<BOOL:${VARVE_WERROR}>:-Werror>)
# Reproducible paths in assertions and debug information.
target_compile_options(varve_flags INTERFACE
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

if(VARVE_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(VARVE_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(VARVE_SANITIZE STREQUAL "fuzzer") # with clang
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined
    -fsanitize=fuzzer-no-link)
elseif(NOT VARVE_SANITIZE STREQUAL "")
  message(FATAL_ERROR "VARVE_SANITIZE must be address, thread, fuzzer or empty")
endif()
if(sanitize)
  target_compile_options(varve_flags INTERFACE ${sanitize} -fno-omit-frame-pointer)
  target_link_options(varve_flags INTERFACE ${sanitize})
endif()

# Flags of the runtime libraries. No builtins for the malloc family: the compiler would turn the
# body of calloc (malloc and memset) into a call of calloc.
add_library(varve_runtime_flags INTERFACE)
target_link_libraries(varve_runtime_flags INTERFACE varve_flags)
target_compile_options(varve_runtime_flags INTERFACE
  -fPIC -fvisibility=hidden -ftls-model=initial-exec -fasynchronous-unwind-tables
  -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free)
# One segment for code and constants: two mappings and three page faults fewer at every start.
target_link_options(varve_runtime_flags INTERFACE
  -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,noseparate-code
  -Wl,-Bsymbolic-functions -Wl,--no-undefined)
