# Language level, warnings, sanitizers, and the two functions every folder's CMakeLists.txt is written with.
#
# The presets but debug compile a target's files in batches (CMAKE_UNITY_BUILD): half the time. So names in unnamed namespaces differ
# within a target, or it sets UNITY_BUILD OFF; that each file includes what it needs is seen by the debug preset alone.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

option(OCTET_BUILD_TESTS "Build the tests" ON)
option(OCTET_CUDA "Build the CUDA back end too; needs the CUDA toolkit" OFF)
set(OCTET_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

# The binary starts on any x86-64-v3 machine; files for wider instruction sets add their own flags.
# No contraction: the bits of a sum do not depend on what the compiler could fuse. FMA is written out where meant.
add_compile_options("$<$<COMPILE_LANGUAGE:C,CXX>:-march=x86-64-v3;-ffp-contract=off;-fno-math-errno>")
if(OCTET_SANITIZE)
  add_compile_options(-fsanitize=${OCTET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OCTET_SANITIZE})
endif()

# The same on the device: no contraction, and a warning is an error.
if(OCTET_CUDA)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES "80-real;90a-real")
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda/bin)
  endif()
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows none for nvcc
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PROJECT_SOURCE_DIR}/cmake/keep_ptxas_report)
  add_compile_options(
    "$<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;--expt-relaxed-constexpr;--Werror=all-warnings;-Xptxas=-v>")
endif()

# -Wno-restrict: gcc 12 sees overlaps in std::string that are not there.
# octet_library(NAME SOURCES ... [DEPS ...]): a static library octet_NAME, include root = the project's root.
function(octet_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(octet_${name} STATIC ${ARG_SOURCES})
  target_include_directories(octet_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_compile_options(octet_${name} PRIVATE
    "$<$<COMPILE_LANGUAGE:C,CXX>:-Wall;-Wextra;-Wno-missing-field-initializers;-Wno-restrict>")
  target_link_libraries(octet_${name} PUBLIC ${ARG_DEPS})
endfunction()

# octet_test(NAME SOURCES ... [DEPS ...] [RANKS n ...] [TIMEOUT s]): one GoogleTest binary and its CTest entries;
# with RANKS, one entry per count, run under mpirun with that many processes.
function(octet_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;RANKS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wno-missing-field-initializers -Wno-restrict)
  target_compile_definitions(${name} PRIVATE OCTET_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest)
  if(ARG_RANKS)
    foreach(ranks ${ARG_RANKS})
      add_test(NAME ${name}_np${ranks}
               COMMAND ${MPIEXEC_EXECUTABLE} --allow-run-as-root --oversubscribe --bind-to none
                       -n ${ranks} $<TARGET_FILE:${name}>)
      set_tests_properties(${name}_np${ranks} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
    endforeach()
  else()
    target_link_libraries(${name} PRIVATE GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()
