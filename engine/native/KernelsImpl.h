// The kernels, written with the compilers' vector types. Included by one source file for each instruction set, which
// defines VECTOR_BYTES.

#include "Simd.h"
#include "VectorKernelsImpl.h"

namespace {

using OpenMMCG::FilterPairs;

/** A tile of a matrix product that stays in registers: rows x (columns * LANES). */
template <class Real, int ROWS, int COLUMNS>
inline void multiplyTile(const Real* a, const Real* b, const Real* bias, Real* result, int width, bool accumulate) {
    Vector<Real> total[ROWS][COLUMNS];
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++) {
            total[r][c] = accumulate ? load(result + r * width + c * LANES<Real>) : Vector<Real>{};
            if (bias)
                total[r][c] += load(bias + c * LANES<Real>);
        }
    for (int k = 0; k < width; k++) {
        Vector<Real> row[COLUMNS];
        for (int c = 0; c < COLUMNS; c++)
            row[c] = load(b + static_cast<std::size_t>(k) * width + c * LANES<Real>);
        for (int r = 0; r < ROWS; r++)
            for (int c = 0; c < COLUMNS; c++)
                total[r][c] += a[r * width + k] * row[c];
    }
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            store(result + r * width + c * LANES<Real>, total[r][c]);
}

/** Multiply up to ROWS rows, as many at a time as there are, so that b is read once. */
template <class Real, int ROWS, int COLUMNS>
inline void multiplyRows(const Real* a, const Real* b, const Real* bias, Real* result, int rows, int width,
                         bool accumulate) {
    for (; rows >= ROWS; rows -= ROWS) {
        multiplyTile<Real, ROWS, COLUMNS>(a, b, bias, result, width, accumulate);
        a += ROWS * width;
        result += ROWS * width;
    }
    if constexpr (ROWS > 1)
        if (rows > 0)
            multiplyRows<Real, ROWS - 1, COLUMNS>(a, b, bias, result, rows, width, accumulate);
}

template <class Real>
void multiply(const Real* a, const Real* b, const Real* bias, Real* result, int rows, int width, bool accumulate) {
    // Six rows by four (AVX-512) or two vectors, one row of b and one factor fill the registers.
    constexpr int TALL = 6, WIDE = VECTOR_BYTES == 64 ? 4 : 2, SPAN = LANES<Real>;
    int column = 0;
    auto offset = [&](const Real* start) { return start ? start + column : nullptr; };
    for (; column + WIDE * SPAN <= width; column += WIDE * SPAN)
        multiplyRows<Real, TALL, WIDE>(a, b + column, offset(bias), result + column, rows, width, accumulate);
    for (; column < width; column += SPAN)
        multiplyRows<Real, TALL, 1>(a, b + column, offset(bias), result + column, rows, width, accumulate);
}

/**
 * exp of floats from -87 to 87 within two units in the last place, with the minimax polynomial of the Cephes library
 * (Moshier, Methods and Programs for Mathematical Functions, 1989).
 */
inline Vector<float> exponentialOf(Vector<float> x) {
    typedef int32_t Integers __attribute__((vector_size(VECTOR_BYTES)));
    const float roundingShift = 12582912.0f; // 1.5 * 2^23: adding and subtracting it rounds
    Vector<float> n = x * 1.44269504088896341f + roundingShift;
    n = n - roundingShift;
    Vector<float> f = x - n * 0.693359375f;
    f = f + n * 2.12194440e-4f;
    Vector<float> e = 1.9875691500e-4f * f + 1.3981999507e-3f;
    e = e * f + 8.3334519073e-3f;
    e = e * f + 4.1665795894e-2f;
    e = e * f + 1.6666665459e-1f;
    e = e * f + 5.0000001201e-1f;
    e = e * f * f + f + 1.0f;
    Integers exponent = (__builtin_convertvector(n, Integers) + 127) << 23;
    return e * (Vector<float>)exponent;
}

/** tanh of floats within two units in the last place: Cephes' polynomial for small arguments, else 1 - 2/(exp(2x)+1).
 */
inline Vector<float> tanhOf(Vector<float> x) {
    Vector<float> zero = {}, magnitude = x < zero ? -x : x;
    Vector<float> square = x * x;
    Vector<float> small = -5.70498872745e-3f * square + 2.06390887954e-2f;
    small = small * square - 5.37397155531e-2f;
    small = small * square + 1.33314422036e-1f;
    small = small * square - 3.33332819422e-1f;
    small = small * square * x + x;

    Vector<float> limit = zero + 9.1f; // where tanh rounds to 1
    Vector<float> large = 1.0f - 2.0f / (exponentialOf(2.0f * (magnitude < limit ? magnitude : limit)) + 1.0f);
    large = x < zero ? -large : large;
    Vector<float> bound = zero + 0.625f;
    return magnitude < bound ? small : large;
}

inline Vector<double> tanhOf(Vector<double> x) {
    for (int lane = 0; lane < LANES<double>; lane++)
        x[lane] = __builtin_tanh(x[lane]);
    return x;
}

/** 1 / (1 + exp(-x)). */
inline Vector<float> logisticOf(Vector<float> x) {
    Vector<float> low = Vector<float>{} - 87.0f, high = Vector<float>{} + 87.0f;
    x = x < low ? low : x;
    return 1.0f / (1.0f + exponentialOf(-(x > high ? high : x)));
}

inline Vector<double> logisticOf(Vector<double> x) {
    for (int lane = 0; lane < LANES<double>; lane++)
        x[lane] = 1 / (1 + __builtin_exp(-x[lane]));
    return x;
}

template <class Real>
void tanhAll(Real* x, Real* slope, std::size_t count) {
    for (std::size_t i = 0; i < count; i += LANES<Real>) {
        Vector<Real> value = tanhOf(load(x + i));
        store(x + i, value);
        store(slope + i, Real(1) - value * value);
    }
}

template <class Real>
void siluAll(Real* x, Real* slope, std::size_t count) {
    for (std::size_t i = 0; i < count; i += LANES<Real>) {
        Vector<Real> argument = load(x + i), logistic = logisticOf(argument), value = argument * logistic;
        store(x + i, value);
        store(slope + i, logistic + value * (Real(1) - logistic));
    }
}

template <class Real>
Real dot(const Real* a, const Real* b, int width) {
    Vector<Real> total = {};
    for (int i = 0; i < width; i += LANES<Real>)
        total += load(a + i) * load(b + i);
    return sum<Real>(total);
}

template <class Real, bool BOTH>
void passMessages(const FilterPairs<Real>& pairs, const Real* table, int width, const Real* sent, Real* received) {
    for (int p = 0; p < pairs.count; p++) {
        std::size_t i = static_cast<std::size_t>(pairs.first[p]) * width;
        std::size_t j = static_cast<std::size_t>(pairs.second[p]) * width;
        const Real* rows = table + pairs.offset[p];
        const Real* factors = pairs.value + p * TABLE_ROWS<Real>;
        for (int f = 0; f < width; f += LANES<Real>) {
            Vector<Real> filter = interpolate(rows + f, width, factors);
            store(received + i + f, load(received + i + f) + filter * load(sent + j + f));
            if (BOTH)
                store(received + j + f, load(received + j + f) + filter * load(sent + i + f));
        }
    }
}

template <class Real>
void messages(const FilterPairs<Real>& pairs, bool bothEnds, const Real* table, int width, const Real* sent,
              Real* received) {
    if (bothEnds)
        passMessages<Real, true>(pairs, table, width, sent, received);
    else
        passMessages<Real, false>(pairs, table, width, sent, received);
}

template <class Real, bool BOTH, bool PROPAGATE>
void passMessagesBackward(const FilterPairs<Real>& pairs, const Real* table, int width, const Real* sent,
                          const Real* gradient, Real* sentGradient, Real* distanceGradient) {
    for (int p = 0; p < pairs.count; p++) {
        std::size_t i = static_cast<std::size_t>(pairs.first[p]) * width;
        std::size_t j = static_cast<std::size_t>(pairs.second[p]) * width;
        const Real* rows = table + pairs.offset[p];
        const Real* slopes = pairs.slope + p * TABLE_ROWS<Real>;
        const Real* factors = pairs.value + p * TABLE_ROWS<Real>;
        Vector<Real> total = {};
        for (int f = 0; f < width; f += LANES<Real>) {
            Vector<Real> gradientI = load(gradient + i + f), gradientJ = load(gradient + j + f);
            total += interpolate(rows + f, width, slopes) *
                     (gradientI * load(sent + j + f) + gradientJ * load(sent + i + f));
            if (PROPAGATE) {
                Vector<Real> filter = interpolate(rows + f, width, factors);
                store(sentGradient + i + f, load(sentGradient + i + f) + filter * gradientJ);
                if (BOTH)
                    store(sentGradient + j + f, load(sentGradient + j + f) + filter * gradientI);
            }
        }
        distanceGradient[p] += sum<Real>(total);
    }
}

template <class Real>
void messagesBackward(const FilterPairs<Real>& pairs, bool bothEnds, const Real* table, int width, const Real* sent,
                      const Real* gradient, Real* sentGradient, Real* distanceGradient) {
    auto kernel = !sentGradient ? passMessagesBackward<Real, false, false>
                  : bothEnds    ? passMessagesBackward<Real, true, true>
                                : passMessagesBackward<Real, false, true>;
    kernel(pairs, table, width, sent, gradient, sentGradient, distanceGradient);
}

template <class Real>
constexpr OpenMMCG::Kernels<Real> KERNELS = {
    multiply<Real>,       tanhAll<Real>,
    siluAll<Real>,        dot<Real>,
    scale<Real>,          contract<Real>,
    softNorm<Real>,       softNormBackward<Real>,
    tripleProducts<Real>, tripleProductsBackward<Real>,
    messages<Real>,       messagesBackward<Real>,
    vectorMessages<Real>, vectorMessagesBackward<Real>,
};

} // namespace
