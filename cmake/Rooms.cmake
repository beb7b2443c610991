# One CMake target per room of src/. The link line of a room names the rooms it may include, so the
# architecture (docs/architecture.md) is enforced by the linker as well as by tests/tidy.
#
#   pccl_room(wire SOURCES codec.cpp framing.cpp USES base)
#   pccl_room(net  SOURCES ... USES base wire LINKS Threads::Threads)
#
# Rooms are static archives for the tests, which link exactly the rooms they test; libpccl is made of the
# rooms' objects (cmake/Library.cmake). An object of an archive is only linked when somebody refers to it:
# register nothing by static initialisers alone.
function(pccl_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(pccl_${name} STATIC ${ROOM_SOURCES})
  target_include_directories(pccl_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_features(pccl_${name} PUBLIC cxx_std_20)
  # The same source must give the same bits on every peer: no fused multiply-add where the CPU has one.
  target_compile_options(pccl_${name} PRIVATE -ffp-contract=off)
  set_target_properties(pccl_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                                VISIBILITY_INLINES_HIDDEN ON)
  foreach(room IN LISTS ROOM_USES)
    if(NOT TARGET pccl_${room})
      message(FATAL_ERROR "pccl_room(${name} USES ${room}): not a room on a lower shelf (src/CMakeLists.txt)")
    endif()
    target_link_libraries(pccl_${name} PUBLIC pccl_${room})
  endforeach()
  target_link_libraries(pccl_${name} PUBLIC ${ROOM_LINKS} PRIVATE pccl_warnings)
  set_property(GLOBAL APPEND PROPERTY PCCL_ROOMS pccl_${name})
  set_property(GLOBAL APPEND PROPERTY PCCL_ROOM_LINKS ${ROOM_LINKS})
endfunction()
