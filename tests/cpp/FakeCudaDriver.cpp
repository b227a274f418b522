// Stands in for the CUDA driver on machines without a GPU, where it finds no device: OpenMM's platform and OpenMM-CG's
// plugin for it can be loaded, and say what is missing. Functions that are not needed for that are left out.

static const int NO_DEVICE = 100; // CUDA_ERROR_NO_DEVICE

extern "C" {

int cuInit(unsigned int) {
    return NO_DEVICE;
}

int cuDriverGetVersion(int* version) {
    *version = 13000;
    return 0;
}

int cuDeviceGetCount(int* count) {
    *count = 0;
    return NO_DEVICE;
}

int cuGetErrorName(int, const char** name) {
    *name = "CUDA_ERROR_NO_DEVICE";
    return 0;
}
}
