# Warnings for our own code; errors where PCCL_WARNINGS_AS_ERRORS says so (the dev and CI presets).
add_library(pccl_warnings INTERFACE)
target_compile_options(pccl_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow
                                               -Wno-missing-field-initializers  # designated initializers name what differs
                                               $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
                                               $<$<BOOL:${PCCL_WARNINGS_AS_ERRORS}>:-Werror>)
