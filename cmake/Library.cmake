# libpccl from the objects of all rooms: `pccl` (shared) and, if wanted, `pccl_static`.
get_property(pccl_rooms GLOBAL PROPERTY PCCL_ROOMS)
get_property(pccl_room_links GLOBAL PROPERTY PCCL_ROOM_LINKS)
list(REMOVE_DUPLICATES pccl_room_links)
set(pccl_objects)
foreach(room IN LISTS pccl_rooms)
  list(APPEND pccl_objects $<TARGET_OBJECTS:${room}>)
endforeach()

# What both kinds have in common. Their interface is the C header alone; what the rooms link stays private.
function(pccl_library target)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PRIVATE ${pccl_room_links})
  # The static archive is C++ behind a C header: C programs that use it link the C++ runtime.
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()

add_library(pccl SHARED ${pccl_objects})
add_library(pccl::pccl ALIAS pccl)
pccl_library(pccl)
if(NOT APPLE)
  # Rooms are compiled with hidden visibility; the script also keeps back what the headers of others instantiate.
  target_link_options(pccl PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/pccl.map)
  if(NOT PCCL_SANITIZE)  # clang leaves the sanitizer's symbols to the executable
    target_link_options(pccl PRIVATE LINKER:--no-undefined)
  endif()
  set_property(TARGET pccl APPEND PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/pccl.map)
endif()

if(PCCL_BUILD_STATIC_LIB)
  add_library(pccl_static STATIC ${pccl_objects})
  add_library(pccl::pccl_static ALIAS pccl_static)
  pccl_library(pccl_static)
  set_target_properties(pccl_static PROPERTIES OUTPUT_NAME pccl)
endif()
