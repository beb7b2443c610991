# Says in PCCL_CUDA whether the kernels for GPUs are compiled, and enables the language for it.
#
# AUTO leaves them out where there is no nvcc 12 or later, and where sanitizers or fuzzers are built, which do not look
# into them.
set(PCCL_CUDA OFF)
if(PCCL_BUILD_CUDA_SUPPORT STREQUAL "AUTO"
   AND (PCCL_SANITIZE OR PCCL_BUILD_FUZZERS OR CMAKE_CROSSCOMPILING))
  return()
elseif(NOT PCCL_BUILD_CUDA_SUPPORT)
  return()
endif()

set(chosen_architectures ${CMAKE_CUDA_ARCHITECTURES} $ENV{CUDAARCHS})
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  enable_language(CUDA)
endif()
if(NOT CMAKE_CUDA_COMPILER OR CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12)
  if(PCCL_BUILD_CUDA_SUPPORT STREQUAL "AUTO")
    message(STATUS "No kernels for GPUs: nvcc 12 or later is needed")
    return()
  endif()
  message(FATAL_ERROR "PCCL_BUILD_CUDA_SUPPORT=${PCCL_BUILD_CUDA_SUPPORT} needs nvcc 12 or later")
endif()
find_package(CUDAToolkit REQUIRED)
set(PCCL_CUDA ON)
message(STATUS "CUDA support: nvcc ${CMAKE_CUDA_COMPILER_VERSION}")

# Machine code from Turing (CUDA 12: Volta) to Hopper, and for what comes after it the text from which a driver makes it.
# Into the cache: nvcc's own default is there by now, and the next configure would take it for a choice.
if(NOT chosen_architectures)
  set(chosen_architectures 75-real 80-real 86-real 89-real 90)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
    list(PREPEND chosen_architectures 70-real)
  endif()
endif()
set(CMAKE_CUDA_ARCHITECTURES "${chosen_architectures}" CACHE STRING "GPUs to compile for" FORCE)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # before CMake 3.25.2, which knows that nvcc 12 does
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
