# quipu_module(NAME DEPENDS ... LIBRARIES ... TEST_DEPENDS ...): the folder's *.cc become library quipu_NAME; each
# x_test.cc and x_prop_test.cc one test each, named NAME_x_test; x_bench.cc a benchmark; x_fuzz.cc a fuzz target
# (libFuzzer in preset fuzz; elsewhere a test that replays test/corpus/NAME_x_fuzz).
# Folders link only to the folders below them; a file that includes what its layer must not fails the build at once.
#
# Targets: tests_NAME builds one module's tests, `tests` all of them, `fuzzers` the fuzz targets.
# Labels of ctest: module:NAME, and by kind: unit, bench, contract, integration, e2e; campaign and slow stay out of
# `make test`. One binary per test file: a link takes 30 ms with mold, a crash loses one file, files run in parallel.

# Two precompiled headers per configuration, built once and reused by every target: one for the code, one for tests.
# A target that reuses one must be compiled with the same flags; -Winvalid-pch with -Werror says when it is not.
file(WRITE "${CMAKE_BINARY_DIR}/pch/pch.cc" "")
function(quipu_pch name)
  add_library(${name} OBJECT "${CMAKE_BINARY_DIR}/pch/pch.cc")
  target_link_libraries(${name} PRIVATE quipu::format)
  target_precompile_headers(${name} PRIVATE <algorithm> <array> <cstdint> <cstring> <functional> <map> <memory>
                            <optional> <span> <string> <string_view> <unordered_map> <utility> <vector> <fmt/core.h>
                            ${ARGN})
endfunction()
quipu_pch(quipu_pch_code)
if(QUIPU_TESTS)
  quipu_pch(quipu_pch_tests <gmock/gmock.h> <gtest/gtest.h> <rapidcheck.h> <rapidcheck/gtest.h>)
  target_link_libraries(quipu_pch_tests PRIVATE GTest::gmock rapidcheck rapidcheck_gtest)
  add_library(quipu_test_main OBJECT "${CMAKE_SOURCE_DIR}/test/support/test_main.cc")
  target_link_libraries(quipu_test_main PRIVATE quipu::format GTest::gtest)
endif()

# Looked at when a file under src has changed, before anything is compiled; the other rules of tools/lint are tests.
file(GLOB_RECURSE QUIPU_SOURCES CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/*.cc" "${CMAKE_SOURCE_DIR}/src/*.h")
# Debian's own interpreter first: Debian's pytest and redis-py serve no other.
find_program(QUIPU_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(QUIPU_PYTHON python3 REQUIRED)
add_custom_command(OUTPUT "${CMAKE_BINARY_DIR}/includes.checked"
                   COMMAND "${QUIPU_PYTHON}" "${CMAKE_SOURCE_DIR}/tools/lint" --includes
                   COMMAND "${CMAKE_COMMAND}" -E touch "${CMAKE_BINARY_DIR}/includes.checked"
                   DEPENDS ${QUIPU_SOURCES} "${CMAKE_SOURCE_DIR}/tools/lint" COMMENT "Includes of the layers" VERBATIM)
add_custom_target(quipu_includes ALL DEPENDS "${CMAKE_BINARY_DIR}/includes.checked")

add_custom_target(tests)
add_custom_target(fuzzers)
# Put before a test's command: its temporary files lie in the build folder and are removed with it.
set(QUIPU_IN_SCRATCH "${CMAKE_SOURCE_DIR}/tools/in-scratch" "${CMAKE_BINARY_DIR}/scratch")

# A program of tests from SOURCES, registered with ctest under `name`. LABELS: its kind and module.
function(quipu_test name)
  cmake_parse_arguments(T "" "TIMEOUT;MODULE" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT QUIPU_TESTS)
    return()
  endif()
  add_executable(${name} ${T_SOURCES} $<TARGET_OBJECTS:quipu_test_main>)
  target_link_libraries(${name} PRIVATE ${T_LIBRARIES} quipu::format GTest::gmock rapidcheck rapidcheck_gtest)
  target_precompile_headers(${name} REUSE_FROM quipu_pch_tests)
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}")
  add_dependencies(tests ${name})
  add_test(NAME ${name} COMMAND ${QUIPU_IN_SCRATCH} $<TARGET_FILE:${name}>)
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 300)
  endif()
  if(QUIPU_SANITIZE)
    math(EXPR T_TIMEOUT "4 * ${T_TIMEOUT}")
    # test/support/effort.h does the same for tests that repeat themselves.
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "RC_PARAMS=max_success=20")
  endif()
  if(T_MODULE)
    list(APPEND T_LABELS "module:${T_MODULE}")
    add_dependencies(tests_${T_MODULE} ${name})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}")
endfunction()

function(quipu_module name)
  cmake_parse_arguments(M "" "" "DEPENDS;LIBRARIES;TEST_DEPENDS" ${ARGN})
  file(GLOB all CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  set(sources "")
  set(tests "")
  set(benches "")
  set(fuzzers "")
  foreach(f IN LISTS all)
    if(f MATCHES "_test\\.cc$")
      list(APPEND tests "${f}")
    elseif(f MATCHES "_bench\\.cc$")
      list(APPEND benches "${f}")
    elseif(f MATCHES "_fuzz\\.cc$")
      list(APPEND fuzzers "${f}")
    elseif(NOT f MATCHES "/main\\.cc$")
      list(APPEND sources "${f}")
    endif()
  endforeach()
  if(QUIPU_SANITIZE)
    # Programs that count allocations have an operator new of their own, and so have the sanitizers.
    list(FILTER tests EXCLUDE REGEX "alloc[a-z]*_test\\.cc$")
  endif()
  list(TRANSFORM M_DEPENDS PREPEND quipu_)
  list(TRANSFORM M_TEST_DEPENDS PREPEND quipu_)
  set(self quipu_${name})
  if(sources)
    add_library(${self} STATIC ${sources})
    target_include_directories(${self} PUBLIC "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(${self} PUBLIC ${M_DEPENDS} quipu::format PRIVATE ${M_LIBRARIES})
    target_precompile_headers(${self} REUSE_FROM quipu_pch_code)
  else()
    add_library(${self} INTERFACE)
    target_include_directories(${self} INTERFACE "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(${self} INTERFACE ${M_DEPENDS} ${M_LIBRARIES})
  endif()
  add_dependencies(${self} quipu_includes)
  add_custom_target(tests_${name})
  foreach(f IN LISTS tests)
    get_filename_component(stem "${f}" NAME_WE)
    quipu_test(${name}_${stem} SOURCES "${f}" LIBRARIES ${self} ${M_TEST_DEPENDS} ${M_LIBRARIES} MODULE ${name}
               LABELS unit)
  endforeach()
  if(QUIPU_TESTS)
    foreach(f IN LISTS benches)
      get_filename_component(stem "${f}" NAME_WE)
      add_executable(${name}_${stem} "${f}")
      target_link_libraries(${name}_${stem} PRIVATE ${self} ${M_TEST_DEPENDS} ${M_LIBRARIES} quipu::format
                            benchmark::benchmark_main)
      target_precompile_headers(${name}_${stem} REUSE_FROM quipu_pch_code)
      add_test(NAME ${name}_${stem} COMMAND ${QUIPU_IN_SCRATCH} $<TARGET_FILE:${name}_${stem}>
               --benchmark_min_time=0.001)
      set_tests_properties(${name}_${stem} PROPERTIES LABELS "bench;module:${name}" TIMEOUT 300)
      add_dependencies(tests_${name} ${name}_${stem})
    endforeach()
  endif()
  if(QUIPU_TESTS AND NOT QUIPU_FUZZ)
    foreach(f IN LISTS fuzzers)
      get_filename_component(stem "${f}" NAME_WE)
      set(replay ${name}_${stem}_replay)
      add_executable(${replay} "${f}" "${CMAKE_SOURCE_DIR}/test/support/fuzz_replay.cc")
      target_link_libraries(${replay} PRIVATE ${self} ${M_TEST_DEPENDS} ${M_LIBRARIES} quipu::format)
      target_precompile_headers(${replay} REUSE_FROM quipu_pch_code)
      add_test(NAME ${replay} COMMAND ${QUIPU_IN_SCRATCH} $<TARGET_FILE:${replay}>
               "${CMAKE_SOURCE_DIR}/test/corpus/${name}_${stem}")
      set_tests_properties(${replay} PROPERTIES LABELS "unit;module:${name}" TIMEOUT 300)
      add_dependencies(tests ${replay})
      add_dependencies(tests_${name} ${replay})
    endforeach()
  endif()
  if(QUIPU_FUZZ)
    foreach(f IN LISTS fuzzers)
      get_filename_component(stem "${f}" NAME_WE)
      add_executable(${name}_${stem} "${f}")
      target_link_libraries(${name}_${stem} PRIVATE ${self} ${M_TEST_DEPENDS} ${M_LIBRARIES} quipu::format)
      target_precompile_headers(${name}_${stem} REUSE_FROM quipu_pch_code)
      target_link_options(${name}_${stem} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${name}_${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
      add_dependencies(fuzzers ${name}_${stem})
    endforeach()
  endif()
endfunction()
