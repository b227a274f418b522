#include "Blocks.h"
#include <algorithm>
#include <cmath>

using namespace OpenMMCG;
using namespace std;

static const int WISHED_SIZE = 64;   // beads whose features stay in the cache of a core
static const int LARGEST_SIZE = 256; // above, sharing work among threads is worth evaluating pairs twice
static const double COINCIDENT = 1e-7;

template <class Real>
void BlockPairs<Real>::clear() {
    first.clear();
    second.clear();
    offset.clear();
    value.clear();
    slope.clear();
    distance.clear();
    direction.clear();
}

template <class Real>
void BlockPairs<Real>::add(int i, int j, const double* vector, double length, size_t rows, const Real* values,
                           const Real* slopes) {
    first.push_back(i);
    second.push_back(j);
    offset.push_back(rows);
    value.insert(value.end(), values, values + TABLE_ROWS<Real>);
    slope.insert(slope.end(), slopes, slopes + TABLE_ROWS<Real>);
    distance.push_back(length);
    for (int k = 0; k < 3; k++)
        direction.push_back(vector[k] / length);
}

template <class Real>
void BlockPairs<Real>::clearGradients(bool directional) {
    distanceGradient.assign(first.size(), Real(0));
    if (directional)
        directionGradient.assign(3 * first.size(), Real(0));
}

template <class Real>
void BlockPairs<Real>::getForce(int pair, double* force) const {
    const double* unit = &direction[3 * pair];
    double along = distanceGradient[pair];
    for (int k = 0; k < 3; k++)
        force[k] = along * unit[k];
    if (directionGradient.empty())
        return;
    // A direction turns by what is across it, but for coincident beads, whose vector is divided by a constant.
    const Real* turn = &directionGradient[3 * pair];
    double overlap = 0;
    if (distance[pair] > COINCIDENT)
        for (int k = 0; k < 3; k++)
            overlap += static_cast<double>(turn[k]) * unit[k];
    for (int k = 0; k < 3; k++)
        force[k] += (turn[k] - overlap * unit[k]) / distance[pair];
}

template <class Real>
void Block<Real>::gather(const ModelInput& input, const vector<int64_t>& rowStarts, const FilterTable<Real>& table,
                         bool directional) {
    inner.clear();
    outer.clear();
    const int64_t* second = input.pairs.indices.data() + input.pairs.size;
    const double *positions = input.positions.data(), *shifts = input.pairs.shifts.data();
    for (int i = begin; i < end; i++)
        for (int64_t p = rowStarts[i]; p < rowStarts[i + 1]; p++) {
            int j = static_cast<int>(second[p]);
            bool inside = j >= begin && j < end;
            if (inside && j <= i)
                continue; // the other direction of a pair that was taken
            double vector[3], square = 0;
            for (int k = 0; k < 3; k++) {
                vector[k] = positions[3 * j + k] + shifts[3 * p + k] - positions[3 * i + k];
                square += vector[k] * vector[k];
            }
            double distance = sqrt(square);
            size_t rows;
            Real value[TABLE_ROWS<Real>], slope[TABLE_ROWS<Real>];
            if (!table.locate(static_cast<int>(input.pairs.edgeTypes[p]), max(distance, COINCIDENT), rows, value,
                              slope))
                continue;
            if (distance < COINCIDENT) { // the network's energy is flat here
                fill(slope, slope + TABLE_ROWS<Real>, Real(0));
                distance = COINCIDENT;
            }
            (inside ? inner : outer).add(i, j, vector, distance, rows, value, slope);
        }
    inner.clearGradients(directional);
    outer.clearGradients(directional);
}

template <class Real>
void Block<Real>::addForces(double* forces) const {
    double force[3];
    for (int p = 0; p < inner.size(); p++) {
        inner.getForce(p, force);
        for (int k = 0; k < 3; k++) {
            forces[3 * inner.first[p] + k] += force[k];
            forces[3 * inner.second[p] + k] -= force[k];
        }
    }
    for (int p = 0; p < outer.size(); p++) {
        outer.getForce(p, force);
        for (int k = 0; k < 3; k++)
            forces[3 * outer.first[p] + k] += force[k];
    }
}

template <class Real>
void Blocks<Real>::update(const ModelInput& input) {
    int numBeads = static_cast<int>(input.types.size());
    const int64_t* second = input.pairs.indices.data() + input.pairs.size;
    input.pairs.findRows(numBeads, rowStarts);

    // Cut where no pair crosses (between replicas, say); what is still too large is cut evenly.

    count = 0;
    connected = false;
    int begin = 0, reach = 0;
    for (int i = 0; i < numBeads; i++) {
        if (i > begin && reach <= i && i - begin >= WISHED_SIZE) {
            addBlocks(begin, i);
            begin = i;
        }
        if (rowStarts[i + 1] > rowStarts[i])
            reach = max(reach, static_cast<int>(*max_element(second + rowStarts[i], second + rowStarts[i + 1])) + 1);
    }
    if (numBeads > begin)
        addBlocks(begin, numBeads);
}

template <class Real>
void Blocks<Real>::addBlocks(int begin, int end) {
    int parts = (end - begin + LARGEST_SIZE - 1) / LARGEST_SIZE;
    connected = connected || parts > 1;
    for (int part = 0; part < parts; part++) {
        if (count == static_cast<int>(blocks.size()))
            blocks.emplace_back();
        blocks[count].begin = begin + static_cast<int>(static_cast<int64_t>(end - begin) * part / parts);
        blocks[count].end = begin + static_cast<int>(static_cast<int64_t>(end - begin) * (part + 1) / parts);
        count++;
    }
}

template struct OpenMMCG::BlockPairs<float>;
template struct OpenMMCG::BlockPairs<double>;
template struct OpenMMCG::Block<float>;
template struct OpenMMCG::Block<double>;
template class OpenMMCG::Blocks<float>;
template class OpenMMCG::Blocks<double>;
