#ifndef OPENMMCG_ENGINE_NATIVE_WORKSPACE_H_
#define OPENMMCG_ENGINE_NATIVE_WORKSPACE_H_

#include "AlignedVector.h"
#include <deque>

namespace OpenMMCG {

/**
 * Rows of features of all beads: one for each bead, or three for features that are vectors.
 */
template <class Real>
class Rows {
public:
    Rows(int perBead, int width) : perBead(perBead), stride(static_cast<std::size_t>(perBead) * width) {}
    void reserve(std::size_t numBeads) {
        data.resize(numBeads * stride);
    }
    /** The rows of the first bead, and behind them those of all others. */
    Real* all() {
        return data.data();
    }
    /** The rows of a bead, and behind them those of all that follow. */
    Real* from(int bead) {
        return data.data() + bead * stride;
    }
    /** How many rows, or numbers, some beads have. */
    int countRows(int numBeads) const {
        return numBeads * perBead;
    }
    std::size_t countNumbers(int numBeads) const {
        return numBeads * stride;
    }

private:
    int perBead;
    std::size_t stride;
    AlignedVector<Real> data;
};

/**
 * All rows that an evaluation needs, kept between evaluations.
 */
template <class Real>
class Workspace {
public:
    explicit Workspace(int width) : width(width) {}
    Rows<Real>& addScalars() {
        return rows.emplace_back(1, width);
    }
    Rows<Real>& addVectors() {
        return rows.emplace_back(3, width);
    }
    /** Make room for a number of beads; rows lose their content when it grows. */
    void reserve(std::size_t numBeads) {
        if (numBeads <= capacity)
            return;
        capacity = numBeads;
        for (Rows<Real>& each : rows)
            each.reserve(numBeads);
    }

private:
    int width;
    std::size_t capacity = 0;
    std::deque<Rows<Real>> rows; // a deque, since references to its members stay valid
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_WORKSPACE_H_*/
