#include "TripleProducts.h"

using namespace OpenMMCG;
using namespace std;

template <class Real>
TripleProducts<Real>::TripleProducts(const Weights& weights, const string& name, int features,
                                     Workspace<Real>& workspace)
    : kernels(getKernels<Real>()), width(paddedWidth(features)), out(weights, name + ".out", features),
      products(workspace.addScalars()) {
    for (int part = 0; part < 3; part++) {
        mix[part] = Linear<Real>(weights, name + ".mix", features, {part, 3, 0, 1});
        mixed[part] = &workspace.addVectors();
    }
}

template <class Real>
void TripleProducts<Real>::forward(const Real* vectors, Real* scalars, int begin, int beads) {
    for (int part = 0; part < 3; part++)
        mix[part].forward(vectors, mixed[part]->from(begin), 3 * beads);
    kernels.tripleProducts(mixed[0]->from(begin), mixed[1]->from(begin), mixed[2]->from(begin), products.from(begin),
                           beads, width);
    out.forward(products.from(begin), scalars, beads, true);
}

template <class Real>
void TripleProducts<Real>::backward(const Real* scalarsGradient, Real* vectorsGradient, int begin, int beads,
                                    bool accumulate) {
    out.backward(scalarsGradient, products.from(begin), beads);
    kernels.tripleProductsBackward(mixed[0]->from(begin), mixed[1]->from(begin), mixed[2]->from(begin),
                                   products.from(begin), beads, width);
    for (int part = 0; part < 3; part++)
        mix[part].backward(mixed[part]->from(begin), vectorsGradient, 3 * beads, accumulate || part > 0);
}

template class OpenMMCG::TripleProducts<float>;
template class OpenMMCG::TripleProducts<double>;
