// Kernels of features that are vectors: three rows for each bead. Part of KernelsImpl.h.

namespace {

using OpenMMCG::FilterPairs;
using OpenMMCG::SentVectors;
using OpenMMCG::SentVectorsGradient;

inline float rootOf(float x) {
    return __builtin_sqrtf(x);
}

inline double rootOf(double x) {
    return __builtin_sqrt(x);
}

template <class Real>
void scale(const Real* factors, const Real* rows, Real* result, int beads, int parts, int width, bool accumulate) {
    for (int bead = 0; bead < beads; bead++, factors += width)
        for (int part = 0; part < parts; part++, rows += width, result += width)
            for (int f = 0; f < width; f += LANES<Real>) {
                Vector<Real> product = load(factors + f) * load(rows + f);
                store(result + f, accumulate ? load(result + f) + product : product);
            }
}

template <class Real>
void contract(const Real* a, const Real* b, Real* result, int beads, int width) {
    for (int bead = 0; bead < beads; bead++, a += 3 * width, b += 3 * width, result += width)
        for (int f = 0; f < width; f += LANES<Real>) {
            Vector<Real> total = {};
            for (int k = 0; k < 3; k++)
                total += load(a + k * width + f) * load(b + k * width + f);
            store(result + f, total);
        }
}

// Roots are taken in plain loops, which the compiler vectorises: there is no operator for roots of vectors.

template <class Real>
void softNorm(const Real* __restrict vectors, Real bend, Real* __restrict result, int beads, int width) {
    for (int bead = 0; bead < beads; bead++, vectors += 3 * width, result += width)
        for (int f = 0; f < width; f++) {
            Real x = vectors[f], y = vectors[width + f], z = vectors[2 * width + f];
            result[f] = rootOf(x * x + y * y + z * z + bend * bend) - bend;
        }
}

template <class Real>
void softNormBackward(const Real* __restrict vectors, Real bend, const Real* __restrict gradient,
                      Real* __restrict vectorsGradient, int beads, int width) {
    for (int bead = 0; bead < beads; bead++) {
        for (int f = 0; f < width; f++) {
            Real x = vectors[f], y = vectors[width + f], z = vectors[2 * width + f];
            Real factor = gradient[f] / rootOf(x * x + y * y + z * z + bend * bend);
            vectorsGradient[f] += factor * x;
            vectorsGradient[width + f] += factor * y;
            vectorsGradient[2 * width + f] += factor * z;
        }
        vectors += 3 * width;
        vectorsGradient += 3 * width;
        gradient += width;
    }
}

/** One feature of vectors, damped to v / sqrt(1 + |v|^2). */
template <class Real>
struct Damped {
    Real factor, v[3];
    Damped(const Real* vectors, int width) {
        Real square = 1;
        for (int k = 0; k < 3; k++)
            square += vectors[k * width] * vectors[k * width];
        factor = 1 / rootOf(square);
        for (int k = 0; k < 3; k++)
            v[k] = factor * vectors[k * width];
    }
    /** Write gradient * (b x c) back through the damping. */
    void writeGradient(Real* vectors, int width, Real gradient, const Damped& b, const Damped& c) const {
        Real g[3] = {gradient * (b.v[1] * c.v[2] - b.v[2] * c.v[1]), gradient * (b.v[2] * c.v[0] - b.v[0] * c.v[2]),
                     gradient * (b.v[0] * c.v[1] - b.v[1] * c.v[0])};
        Real along = v[0] * g[0] + v[1] * g[1] + v[2] * g[2];
        for (int k = 0; k < 3; k++)
            vectors[k * width] = factor * (g[k] - v[k] * along);
    }
};

template <class Real>
void tripleProducts(const Real* __restrict a, const Real* __restrict b, const Real* __restrict c,
                    Real* __restrict result, int beads, int width) {
    for (int bead = 0; bead < beads; bead++) {
        for (int f = 0; f < width; f++) {
            Damped<Real> u(a + f, width), v(b + f, width), w(c + f, width);
            result[f] = u.v[0] * (v.v[1] * w.v[2] - v.v[2] * w.v[1]) + u.v[1] * (v.v[2] * w.v[0] - v.v[0] * w.v[2]) +
                        u.v[2] * (v.v[0] * w.v[1] - v.v[1] * w.v[0]);
        }
        a += 3 * width;
        b += 3 * width;
        c += 3 * width;
        result += width;
    }
}

template <class Real>
void tripleProductsBackward(Real* __restrict a, Real* __restrict b, Real* __restrict c, const Real* __restrict gradient,
                            int beads, int width) {
    for (int bead = 0; bead < beads; bead++) {
        for (int f = 0; f < width; f++) {
            Damped<Real> u(a + f, width), v(b + f, width), w(c + f, width);
            u.writeGradient(a + f, width, gradient[f], v, w);
            v.writeGradient(b + f, width, gradient[f], w, u);
            w.writeGradient(c + f, width, gradient[f], u, v);
        }
        a += 3 * width;
        b += 3 * width;
        c += 3 * width;
        gradient += width;
    }
}

template <class Real, bool BOTH, bool CARRIED>
void passVectors(const FilterPairs<Real>& pairs, const SentVectors<Real>& sent, int width, Real* received) {
    for (int p = 0; p < pairs.count; p++) {
        std::size_t i = static_cast<std::size_t>(pairs.first[p]) * width;
        std::size_t j = static_cast<std::size_t>(pairs.second[p]) * width;
        const Real* factors = pairs.value + p * TABLE_ROWS<Real>;
        Real direction[3];
        for (int k = 0; k < 3; k++)
            direction[k] = static_cast<Real>(pairs.direction[3 * p + k]);
        for (int f = 0; f < width; f += LANES<Real>) {
            Vector<Real> along = interpolate(sent.alongTable + pairs.offset[p] + f, width, factors), carried = {};
            Vector<Real> alongI = along * load(sent.along + j + f), alongJ = {}, carriedI = {}, carriedJ = {};
            if (BOTH)
                alongJ = along * load(sent.along + i + f);
            if (CARRIED) {
                carried = interpolate(sent.carriedTable + pairs.offset[p] + f, width, factors);
                carriedI = carried * load(sent.carried + j + f);
                if (BOTH)
                    carriedJ = carried * load(sent.carried + i + f);
            }
            for (int k = 0; k < 3; k++) {
                std::size_t toI = 3 * i + k * width + f, toJ = 3 * j + k * width + f;
                Vector<Real> totalI = load(received + toI) + direction[k] * alongI;
                if (CARRIED)
                    totalI += carriedI * load(sent.vectors + toJ);
                store(received + toI, totalI);
                if (BOTH) {
                    Vector<Real> totalJ = load(received + toJ) - direction[k] * alongJ;
                    if (CARRIED)
                        totalJ += carriedJ * load(sent.vectors + toI);
                    store(received + toJ, totalJ);
                }
            }
        }
    }
}

template <class Real>
void vectorMessages(const FilterPairs<Real>& pairs, bool bothEnds, const SentVectors<Real>& sent, int width,
                    Real* received) {
    auto kernel = sent.carried ? (bothEnds ? passVectors<Real, true, true> : passVectors<Real, false, true>)
                               : (bothEnds ? passVectors<Real, true, false> : passVectors<Real, false, false>);
    kernel(pairs, sent, width, received);
}

/** Add to numbers in memory. */
template <class Real>
inline void add(Real* address, Vector<Real> value) {
    store(address, load(address) + value);
}

template <class Real, bool BOTH, bool CARRIED, bool PROPAGATE>
void passVectorsBackward(const FilterPairs<Real>& pairs, const SentVectors<Real>& sent, int width, const Real* gradient,
                         const SentVectorsGradient<Real>& sentGradient, Real* distanceGradient,
                         Real* directionGradient) {
    for (int p = 0; p < pairs.count; p++) {
        std::size_t i = static_cast<std::size_t>(pairs.first[p]) * width;
        std::size_t j = static_cast<std::size_t>(pairs.second[p]) * width;
        const Real* factors = pairs.value + p * TABLE_ROWS<Real>;
        const Real* slopes = pairs.slope + p * TABLE_ROWS<Real>;
        Real direction[3];
        for (int k = 0; k < 3; k++)
            direction[k] = static_cast<Real>(pairs.direction[3 * p + k]);
        Vector<Real> byDistance = {}, byDirection[3] = {};
        for (int f = 0; f < width; f += LANES<Real>) {
            const Real* alongRows = sent.alongTable + pairs.offset[p] + f;
            Vector<Real> along = interpolate(alongRows, width, factors);
            Vector<Real> sentI = load(sent.along + i + f), sentJ = load(sent.along + j + f);
            Vector<Real> gradientI[3], gradientJ[3], onI = {}, onJ = {};
            for (int k = 0; k < 3; k++) {
                gradientI[k] = load(gradient + 3 * i + k * width + f);
                gradientJ[k] = load(gradient + 3 * j + k * width + f);
                onI += direction[k] * gradientI[k];
                onJ += direction[k] * gradientJ[k];
                byDirection[k] += along * (sentJ * gradientI[k] - sentI * gradientJ[k]);
            }
            byDistance += interpolate(alongRows, width, slopes) * (sentJ * onI - sentI * onJ);
            if (PROPAGATE) {
                add<Real>(sentGradient.along + i + f, -along * onJ);
                if (BOTH)
                    add<Real>(sentGradient.along + j + f, along * onI);
            }
            if (CARRIED) {
                const Real* carriedRows = sent.carriedTable + pairs.offset[p] + f;
                Vector<Real> carried = interpolate(carriedRows, width, factors);
                Vector<Real> carriedI = load(sent.carried + i + f), carriedJ = load(sent.carried + j + f);
                Vector<Real> productI = {}, productJ = {}; // what i and j sent, times the gradient where it came to
                for (int k = 0; k < 3; k++) {
                    std::size_t atI = 3 * i + k * width + f, atJ = 3 * j + k * width + f;
                    productI += load(sent.vectors + atI) * gradientJ[k];
                    productJ += load(sent.vectors + atJ) * gradientI[k];
                    if (PROPAGATE) {
                        add<Real>(sentGradient.vectors + atI, carried * carriedI * gradientJ[k]);
                        if (BOTH)
                            add<Real>(sentGradient.vectors + atJ, carried * carriedJ * gradientI[k]);
                    }
                }
                byDistance += interpolate(carriedRows, width, slopes) * (carriedJ * productJ + carriedI * productI);
                if (PROPAGATE) {
                    add<Real>(sentGradient.carried + i + f, carried * productI);
                    if (BOTH)
                        add<Real>(sentGradient.carried + j + f, carried * productJ);
                }
            }
        }
        distanceGradient[p] += sum<Real>(byDistance);
        for (int k = 0; k < 3; k++)
            directionGradient[3 * p + k] += sum<Real>(byDirection[k]);
    }
}

template <class Real>
void vectorMessagesBackward(const FilterPairs<Real>& pairs, bool bothEnds, const SentVectors<Real>& sent, int width,
                            const Real* gradient, const SentVectorsGradient<Real>& sentGradient, Real* distanceGradient,
                            Real* directionGradient) {
    // Vectors are carried from the second round on, which always has gradients to propagate.
    auto kernel =
        !sentGradient.along ? passVectorsBackward<Real, false, false, false>
        : sent.carried
            ? (bothEnds ? passVectorsBackward<Real, true, true, true> : passVectorsBackward<Real, false, true, true>)
            : (bothEnds ? passVectorsBackward<Real, true, false, true> : passVectorsBackward<Real, false, false, true>);
    kernel(pairs, sent, width, gradient, sentGradient, distanceGradient, directionGradient);
}

} // namespace
