#ifndef OPENMMCG_ENGINE_NATIVE_TRIPLEPRODUCTS_H_
#define OPENMMCG_ENGINE_NATIVE_TRIPLEPRODUCTS_H_

#include "Linear.h"
#include "Workspace.h"

namespace OpenMMCG {

/**
 * Scalars a . (b x c) of mixtures of vector features, which tell mirror images apart (openmmcg.models.chirality).
 */
template <class Real>
class TripleProducts {
public:
    /** @param name  of the module whose weights are read */
    TripleProducts(const Weights& weights, const std::string& name, int features, Workspace<Real>& workspace);
    /** Add to the scalars of some beads. */
    void forward(const Real* vectors, Real* scalars, int begin, int beads);
    /** Add to the gradient of the vectors, or set it, from that of the scalars; once after each forward(). */
    void backward(const Real* scalarsGradient, Real* vectorsGradient, int begin, int beads, bool accumulate);

private:
    const Kernels<Real>& kernels;
    int width;
    Linear<Real> mix[3], out;
    Rows<Real>*mixed[3], &products;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_TRIPLEPRODUCTS_H_*/
