# pccl_test(ring_schedule SOURCES ring_schedule_test.cpp ROOMS plan
#           [LINKS targets...] [LABELS unit|simulation|e2e] [TIMEOUT seconds] [ARGS ...]
#           [ENVIRONMENT NAME=value...] [PROCESSORS n] [RUN_SERIAL])
#
# One GoogleTest executable <name>_test, linked with the rooms named and all that those use, and one ctest
# test <name> for the whole of it: a process per case would spend more time in starting than in testing.
# The label is unit when none is given; the timeout is for an unsanitized build and is stretched by
# PCCL_TEST_TIMEOUT_SCALE.
find_package(GTest REQUIRED)

function(pccl_test name)
  cmake_parse_arguments(TEST "RUN_SERIAL" "TIMEOUT;PROCESSORS" "SOURCES;ROOMS;LINKS;LABELS;ARGS;ENVIRONMENT" ${ARGN})
  if(TEST_UNPARSED_ARGUMENTS OR NOT TEST_SOURCES)
    message(FATAL_ERROR "pccl_test(${name}): needs SOURCES, cannot use '${TEST_UNPARSED_ARGUMENTS}'")
  endif()
  if("one-thread" IN_LIST TEST_LABELS AND PCCL_SANITIZE STREQUAL "thread")
    return()  # nothing to find there, and CI's time is short
  endif()
  add_executable(${name}_test ${TEST_SOURCES})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/include)
  list(TRANSFORM TEST_ROOMS PREPEND pccl_)
  target_link_libraries(${name}_test PRIVATE pccl_warnings ${TEST_ROOMS} ${TEST_LINKS} GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name}_test ${TEST_ARGS})
  pccl_test_properties(${name} TIMEOUT "${TEST_TIMEOUT}" LABELS "${TEST_LABELS}")
  if(TEST_ENVIRONMENT)
    set_property(TEST ${name} PROPERTY ENVIRONMENT ${TEST_ENVIRONMENT})
  endif()
  if(TEST_PROCESSORS)
    set_property(TEST ${name} PROPERTY PROCESSORS ${TEST_PROCESSORS})
  endif()
  if(TEST_RUN_SERIAL)
    set_property(TEST ${name} PROPERTY RUN_SERIAL ON)
  endif()
endfunction()

# Label and timeout of a test that add_test() made, e.g. a script: pccl_test_properties(install TIMEOUT 300).
function(pccl_test_properties name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 60)
  endif()
  if(NOT TEST_LABELS)
    set(TEST_LABELS unit)
  endif()
  math(EXPR timeout "${TEST_TIMEOUT} * ${PCCL_TEST_TIMEOUT_SCALE}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "${TEST_LABELS}")
endfunction()
