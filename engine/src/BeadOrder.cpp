#include "openmmcg/engine/BeadOrder.h"
#include <algorithm>
#include <cmath>
#include <map>

using namespace OpenMMCG;
using namespace std;

// Replicas of fewer beads have all features in the caches of a core anyway.
static const size_t SMALLEST_SORTED = 300;
static const int MAX_BITS = 10;

/**
 * The place along a Hilbert curve of a cell with indices below 2^bits (Skilling, AIP Conf. Proc. 707, 381, 2004;
 * 10.1063/1.1751381). Cells next to each other on the curve are next to each other in space.
 */
static uint64_t curveIndex(uint32_t x[3], int bits) {
    for (int bit = bits - 1; bit > 0; bit--) {
        uint32_t mask = (1u << bit) - 1;
        for (int k = 0; k < 3; k++)
            if (x[k] >> bit & 1)
                x[0] ^= mask;
            else {
                uint32_t exchanged = (x[0] ^ x[k]) & mask;
                x[0] ^= exchanged;
                x[k] ^= exchanged;
            }
    }
    x[1] ^= x[0];
    x[2] ^= x[1];
    uint32_t flipped = 0;
    for (int bit = bits - 1; bit > 0; bit--)
        if (x[2] >> bit & 1)
            flipped ^= (1u << bit) - 1;
    uint64_t index = 0;
    for (int bit = bits - 1; bit >= 0; bit--)
        for (int k = 0; k < 3; k++)
            index = index << 1 | ((x[k] ^ flipped) >> bit & 1);
    return index;
}

BeadOrder::BeadOrder(const vector<int>& replicas, double cutoff) : cellWidth(cutoff / 2) {
    map<int, vector<int>> groups;
    for (size_t bead = 0; bead < replicas.size(); bead++)
        groups[replicas[bead]].push_back(static_cast<int>(bead));
    for (auto& [replica, group] : groups) {
        if (group.size() >= SMALLEST_SORTED)
            largeGroups.push_back({beads.size(), beads.size() + group.size()});
        beads.insert(beads.end(), group.begin(), group.end());
    }
    trivial = largeGroups.empty() && is_sorted(beads.begin(), beads.end());
    places.resize(beads.size());
}

void BeadOrder::update(const double* positions, const Box& box) {
    for (const Group& group : largeGroups)
        sortAlongCurve(group, positions, box);
    for (size_t place = 0; place < beads.size(); place++)
        places[beads[place]] = static_cast<int>(place);
}

void BeadOrder::sortAlongCurve(const Group& group, const double* positions, const Box& box) {
    double low[3], width[3];
    if (box.periodic)
        box.faceDistances(width);
    else
        for (int k = 0; k < 3; k++) {
            double high = low[k] = positions[3 * beads[group.begin] + k];
            for (size_t place = group.begin; place < group.end; place++) {
                low[k] = min(low[k], positions[3 * beads[place] + k]);
                high = max(high, positions[3 * beads[place] + k]);
            }
            width[k] = max(high - low[k], cellWidth);
        }
    double cells[3];
    int bits = 1;
    for (int k = 0; k < 3; k++) {
        cells[k] = max(1.0, min(floor(width[k] / cellWidth), double(1 << MAX_BITS)));
        while (cells[k] > 1 << bits)
            bits++;
    }
    keys.clear();
    for (size_t place = group.begin; place < group.end; place++) {
        const double* position = positions + 3 * static_cast<size_t>(beads[place]);
        double fraction[3];
        if (box.periodic)
            box.toFractional(position, fraction);
        else
            for (int k = 0; k < 3; k++)
                fraction[k] = (position[k] - low[k]) / width[k];
        uint32_t cell[3];
        for (int k = 0; k < 3; k++)
            cell[k] = static_cast<uint32_t>(min(fraction[k] * cells[k], cells[k] - 1));
        keys.push_back({curveIndex(cell, bits), beads[place]});
    }
    sort(keys.begin(), keys.end());
    for (size_t i = 0; i < keys.size(); i++)
        beads[group.begin + i] = keys[i].second;
}
