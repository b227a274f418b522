#ifndef OPENMMCG_ENGINE_NATIVE_ALIGNEDVECTOR_H_
#define OPENMMCG_ENGINE_NATIVE_ALIGNEDVECTOR_H_

#include <cstddef>
#include <new>
#include <vector>

namespace OpenMMCG {

/**
 * Allocates at the start of a cache line, which is also the widest vector register.
 */
template <class T>
struct AlignedAllocator {
    using value_type = T;
    static constexpr std::align_val_t ALIGNMENT{64};
    AlignedAllocator() = default;
    template <class U>
    AlignedAllocator(const AlignedAllocator<U>&) {}
    T* allocate(std::size_t count) {
        return static_cast<T*>(::operator new(count * sizeof(T), ALIGNMENT));
    }
    void deallocate(T* memory, std::size_t) {
        ::operator delete(memory, ALIGNMENT);
    }
    bool operator==(const AlignedAllocator&) const {
        return true;
    }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_ALIGNEDVECTOR_H_*/
