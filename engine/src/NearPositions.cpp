#include "openmmcg/engine/NearPositions.h"
#include <algorithm>
#include <map>

using namespace OpenMMCG;
using namespace std;

vector<int> OpenMMCG::findReferenceBeads(const BeadTopology& topology, bool periodic) {
    map<pair<int, int>, int> first;
    vector<int> references;
    for (size_t bead = 0; bead < topology.replicas.size(); bead++) {
        pair<int, int> group(topology.replicas[bead], periodic ? topology.molecules[bead] : 0);
        references.push_back(first.insert({group, static_cast<int>(bead)}).first->second);
    }
    return references;
}

void NearPositions::findReferences(bool periodic) {
    if (!references.empty() && referencesArePeriodic == periodic)
        return;
    references = findReferenceBeads(topology, periodic);
    referencesArePeriodic = periodic;
}

void NearPositions::update(const vector<double>& positions, const PairBatch& given, const Box& box) {
    findReferences(box.periodic);
    size_t numBeads = references.size();
    offsets.resize(3 * numBeads);
    moved.resize(3 * numBeads);
    for (size_t bead = 0; bead < numBeads; bead++) {
        size_t reference = references[bead];
        const double* origin = &positions[3 * reference];
        double *offset = &offsets[3 * bead], fraction[3], counts[3];
        if (reference != bead)
            copy_n(&offsets[3 * reference], 3, offset);
        else if (box.periodic) {
            box.toFractional(origin, fraction, counts);
            box.combine(counts, offset);
        }
        else
            copy_n(origin, 3, offset);
        for (int k = 0; k < 3; k++)
            moved[3 * bead + k] = positions[3 * bead + k] - offset[k];
    }
    pairs = &given;
    if (box.periodic)
        adaptShifts(given);
}

void NearPositions::adaptShifts(const PairBatch& given) {
    adapted = given;
    pairs = &adapted;
    for (int64_t pair = 0; pair < given.numPairs; pair++) {
        const double *from = &offsets[3 * given.indices[pair]], *to = &offsets[3 * given.indices[given.size + pair]];
        for (int k = 0; k < 3; k++)
            adapted.shifts[3 * pair + k] += to[k] - from[k];
    }
}
