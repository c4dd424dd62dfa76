# SPDX-License-Identifier: MIT
# What `make install` puts where, and how other projects find it.
include(CMakePackageConfigHelpers)

install(TARGETS varve varve_static varve_malloc EXPORT varveTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(VARVE_BUILD_CLI)
  install(TARGETS varve_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS varve_symbols LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES docs/varve.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
install(DIRECTORY include/varve DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT varveTargets NAMESPACE varve:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve)

configure_package_config_file(cmake/varveConfig.cmake.in varveConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve)
write_basic_package_version_file(varveConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/varveConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/varveConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve)

# Found from where the file is, so that an installation may be moved.
file(RELATIVE_PATH VARVE_PREFIX_OF_PKGCONFIG "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
  "${CMAKE_INSTALL_PREFIX}")
configure_file(cmake/varve.pc.in varve.pc @ONLY)
configure_file(cmake/varve-malloc.pc.in varve-malloc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/varve.pc ${CMAKE_CURRENT_BINARY_DIR}/varve-malloc.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
