# The Debian package: cpack -G DEB --config build/release/CPackConfig.cmake
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME cachegate)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The cachegate authors <cachegate@example.com>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "caching gateway in front of an HTTP API")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Answers repeated reads of an API from memory or Redis, for each user apart,
under rule files that say what may be kept and for how long. A write makes
what it touched invalid before its answer is released.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION web)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server")
set(CPACK_STRIP_FILES ON)
set(packaging ${CMAKE_CURRENT_LIST_DIR})
file(WRITE ${PROJECT_BINARY_DIR}/packaging/conffiles
    "/etc/cachegate/cachegate.yaml\n/etc/cachegate/rules.d/example.yaml\n/etc/default/cachegate\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${packaging}/postinst ${packaging}/prerm ${packaging}/postrm
    ${PROJECT_BINARY_DIR}/packaging/conffiles)

# Debian wants both compressed, without names and times of their own.
foreach(page changelog cachegate.1)
    add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/packaging/${page}.gz DEPENDS ${packaging}/${page}
        COMMAND gzip -9nc ${packaging}/${page} > ${PROJECT_BINARY_DIR}/packaging/${page}.gz)
    list(APPEND pages ${PROJECT_BINARY_DIR}/packaging/${page}.gz)
endforeach()
add_custom_target(pages ALL DEPENDS ${pages})
install(FILES ${PROJECT_BINARY_DIR}/packaging/cachegate.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${PROJECT_BINARY_DIR}/packaging/changelog.gz ${packaging}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

option(CACHEGATE_PACKAGE "Install what only a package for the whole system has" OFF)
if(CACHEGATE_PACKAGE)
    install(FILES ${packaging}/cachegate.service DESTINATION /lib/systemd/system)
    install(FILES ${packaging}/cachegate.yaml DESTINATION /etc/cachegate)
    install(FILES ${packaging}/example.yaml DESTINATION /etc/cachegate/rules.d)
    install(FILES ${packaging}/cachegate.default DESTINATION /etc/default RENAME cachegate
        PERMISSIONS OWNER_READ OWNER_WRITE)
endif()
include(CPack)
