# Write a header that holds the text of kernel sources as strings, each by the name of its file.
#     cmake "-DKERNELS=first.cc;second.cc" -DOUTPUT=header -P EncodeKernels.cmake
set(content "#pragma once\n\nnamespace OpenMMCG::KernelSources {\n")
foreach(source ${KERNELS})
    get_filename_component(name "${source}" NAME_WE)
    file(READ "${source}" text)
    string(APPEND content "inline const char ${name}[] = R\"kernel(${text})kernel\";\n")
endforeach()
string(APPEND content "} // namespace OpenMMCG::KernelSources\n")
file(WRITE "${OUTPUT}" "${content}")
