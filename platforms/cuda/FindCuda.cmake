# Finds OpenMM's library for CUDA (PyPI: openmm-cuda-13) and the headers of CUDA, which nvidia-cuda-runtime and
# nvidia-cuda-crt bring, as does a toolkit. Sets OPENMMCG_HAS_CUDA.
set(OPENMMCG_CUDA_PACKAGES "" CACHE PATH
    "Folder into which pip has installed these packages, if they are not beside OpenMM")
get_filename_component(site "${OPENMM_DIR}/.." ABSOLUTE)
find_library(OPENMMCG_OPENMM_CUDA OpenMMCUDA NO_DEFAULT_PATH
    HINTS "${OPENMM_DIR}/lib/plugins" "${OPENMMCG_CUDA_PACKAGES}/OpenMM.libs/lib/plugins"
    DOC "OpenMM's library for CUDA")
find_path(OPENMMCG_CUDA_INCLUDE_DIR crt/host_defines.h NO_DEFAULT_PATH
    HINTS "${site}/nvidia/cu13/include" "${OPENMMCG_CUDA_PACKAGES}/nvidia/cu13/include"
    PATHS "$ENV{CUDA_HOME}/include" /usr/local/cuda/include
    DOC "Folder with cuda.h and cuda_runtime_api.h")
set(OPENMMCG_HAS_CUDA OFF)
if(NOT OPENMMCG_WITH_TORCH)
    message(STATUS "CUDA: not built, since PyTorch evaluates models there, and this is a build without it")
elseif(NOT OPENMMCG_OPENMM_CUDA)
    message(STATUS "CUDA: not built, since OpenMM has no libOpenMMCUDA.so here (pip install openmm-cuda-13)")
elseif(NOT EXISTS "${OPENMMCG_CUDA_INCLUDE_DIR}/cuda.h")
    message(STATUS "CUDA: not built, since the headers of CUDA are missing "
                   "(pip install nvidia-cuda-runtime nvidia-cuda-crt)")
else()
    set(OPENMMCG_HAS_CUDA ON)
    message(STATUS "CUDA: built, with ${OPENMMCG_OPENMM_CUDA}")
endif()
