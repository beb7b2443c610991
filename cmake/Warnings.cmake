# Warnings for our own code; errors where PCCL_WARNINGS_AS_ERRORS says so (the dev and CI presets).
add_library(pccl_warnings INTERFACE)
target_compile_options(pccl_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow
                                               -Wno-missing-field-initializers  # designated initializers name what differs
                                               $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
                                               $<$<BOOL:${PCCL_WARNINGS_AS_ERRORS}>:-Werror>)
# GCC 12 takes members of alternatives that a std::variant does not hold for uninitialized, once it optimizes.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(pccl_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()
