# Compiler, warnings, sanitizers and linker: one place, chosen by presets (CMakePresets.json).
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(QUIPU_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")
option(QUIPU_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(QUIPU_TESTS ON CACHE STRING "Build tests and benchmarks: ON, OFF, or AUTO (when their libraries are installed)")

# Precompiled headers defeat ccache unless it may look past __TIME__ and past macros that only the header saw. With the
# base directory, and paths mapped to start at the source tree, clones in different places share what they compiled.
find_program(QUIPU_CCACHE ccache)
if(QUIPU_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" "${QUIPU_CCACHE}")
endif()
find_program(QUIPU_MOLD mold)
if(QUIPU_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# -fPIE for libraries too: all are static and end in executables, and one precompiled header then fits every target.
# SSE4.2 is the floor: CRC32C is one instruction there, and every x86-64 server since 2009 has it.
add_compile_options(-Wall -Wextra -Wshadow -Wformat=2 -Wimplicit-fallthrough -Wconversion -Werror
                    -march=x86-64-v2 -mtune=native -fPIE -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
                    "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
add_link_options(-pie)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these falsely at -O2; clang judges them.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds
                      -Wno-error=conversion -Wno-missing-field-initializers -fpch-preprocess)
else()
  # libstdc++ 12's stable_sort uses what it deprecates itself.
  add_compile_options(-Wno-missing-field-initializers -Wno-missing-designated-field-initializers -Wno-sign-conversion
                      -Wno-deprecated-declarations)
endif()

if(QUIPU_SANITIZE)
  add_compile_options(-fsanitize=${QUIPU_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${QUIPU_SANITIZE})
  add_compile_definitions(QUIPU_SANITIZED=1)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fcf-protection=full)
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(QUIPU_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
