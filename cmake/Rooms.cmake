# One CMake target per room of src/. The link line of a room names the rooms it may include, so the
# architecture (docs/architecture.md) is enforced by the linker as well as by tests/tidy.
#
#   pccl_room(wire SOURCES codec.cpp framing.cpp USES base)
function(pccl_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;USES;LINKS" ${ARGN})
  add_library(pccl_${name} OBJECT ${ROOM_SOURCES})
  target_include_directories(pccl_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_compile_features(pccl_${name} PUBLIC cxx_std_20)
  set_target_properties(pccl_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                                VISIBILITY_INLINES_HIDDEN ON)
  foreach(room IN LISTS ROOM_USES)
    target_link_libraries(pccl_${name} PUBLIC pccl_${room})
  endforeach()
  target_link_libraries(pccl_${name} PUBLIC ${ROOM_LINKS} PRIVATE pccl_warnings)
  set_property(GLOBAL APPEND PROPERTY PCCL_ROOMS pccl_${name})
endfunction()
