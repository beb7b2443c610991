# cmake --install: headers, libraries, find_package(pccl), pkg-config pccl. (tools/ installs the daemons.)
include(CMakePackageConfigHelpers)
set(pccl_cmakedir ${CMAKE_INSTALL_LIBDIR}/cmake/pccl)

install(FILES include/pccl.h include/ccoip.h include/ccoip_inet.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS pccl EXPORT pccl LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT pccl FILE pcclTargets.cmake NAMESPACE pccl:: DESTINATION ${pccl_cmakedir})
if(PCCL_BUILD_STATIC_LIB)
  # In an export of its own: only who links the archive needs the development packages of what is inside.
  install(TARGETS pccl_static EXPORT pccl_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT pccl_static FILE pcclStaticTargets.cmake NAMESPACE pccl:: DESTINATION ${pccl_cmakedir})
endif()
configure_package_config_file(cmake/pcclConfig.cmake.in pcclConfig.cmake INSTALL_DESTINATION ${pccl_cmakedir})
write_basic_package_version_file(pcclConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pcclConfig.cmake ${PROJECT_BINARY_DIR}/pcclConfigVersion.cmake
        DESTINATION ${pccl_cmakedir})

# pkg-config finds its prefix from the place of the file, so that an installed tree can be moved.
file(RELATIVE_PATH pccl_prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" pccl_prefix_from_pc "${pccl_prefix_from_pc}")
set(pccl_cuda_libs)
if(PCCL_CUDA)
  set(pccl_cuda_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(cmake/pccl.pc.in pccl.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/pccl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
