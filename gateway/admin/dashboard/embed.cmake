# Writes the dashboard's files into one C source: cmake -DFOLDER=… -DOUTPUT=… -P embed.cmake
set(source "/* Made by embed.cmake from gateway/admin/dashboard/. */\n#include \"gateway/admin/page.h\"\n")
foreach(file index.html style.css app.js)
    file(READ ${FOLDER}/${file} hex HEX)
    string(LENGTH "${hex}" length)
    math(EXPR length "${length} / 2")
    string(REGEX REPLACE "(................................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(MAKE_C_IDENTIFIER ${file} name)
    string(APPEND source
        "\nstatic const unsigned char ${name}[] = {\n${bytes}};\n"
        "const struct cg_page_file cg_page_${name} = {${name}, ${length}};\n")
endforeach()
file(WRITE ${OUTPUT} "${source}")
