#include "openmmcg/engine/BeadMap.h"
#include <cstddef>

using namespace OpenMMCG;
using namespace std;

BeadMap::BeadMap(int numParticles, const vector<vector<int>>& particles, const vector<vector<double>>& weights) {
    vector<int> count(numParticles, 0);
    for (size_t bead = 0; bead < particles.size(); bead++) {
        for (size_t k = 0; k < particles[bead].size(); k++) {
            beadRows.column.push_back(particles[bead][k]);
            beadRows.weight.push_back(weights[bead][k]);
            count[particles[bead][k]]++;
        }
        beadRows.start.push_back(static_cast<int>(beadRows.column.size()));
    }

    // Transpose: one row for each particle that is part of a bead.

    vector<int> next(numParticles, -1);
    for (int particle = 0; particle < numParticles; particle++)
        if (count[particle] > 0) {
            next[particle] = particleRows.start.back();
            mappedParticles.push_back(particle);
            particleRows.start.push_back(particleRows.start.back() + count[particle]);
        }
    particleRows.column.resize(beadRows.column.size());
    particleRows.weight.resize(beadRows.column.size());
    for (int bead = 0; bead < getNumBeads(); bead++)
        for (int k = beadRows.start[bead]; k < beadRows.start[bead + 1]; k++) {
            int slot = next[beadRows.column[k]]++;
            particleRows.column[slot] = bead;
            particleRows.weight[slot] = beadRows.weight[k];
        }
}

void BeadMap::gather(const double* particlePositions, double* beadPositions) const {
    for (int bead = 0; bead < getNumBeads(); bead++) {
        double x = 0, y = 0, z = 0;
        for (int k = beadRows.start[bead]; k < beadRows.start[bead + 1]; k++) {
            const double* position = particlePositions + 3 * static_cast<size_t>(beadRows.column[k]);
            x += beadRows.weight[k] * position[0];
            y += beadRows.weight[k] * position[1];
            z += beadRows.weight[k] * position[2];
        }
        double* result = beadPositions + 3 * static_cast<size_t>(bead);
        result[0] = x;
        result[1] = y;
        result[2] = z;
    }
}

void BeadMap::scatterAdd(const double* beadForces, double* particleForces) const {
    for (size_t row = 0; row < mappedParticles.size(); row++) {
        double x = 0, y = 0, z = 0;
        for (int k = particleRows.start[row]; k < particleRows.start[row + 1]; k++) {
            const double* force = beadForces + 3 * static_cast<size_t>(particleRows.column[k]);
            x += particleRows.weight[k] * force[0];
            y += particleRows.weight[k] * force[1];
            z += particleRows.weight[k] * force[2];
        }
        double* result = particleForces + 3 * static_cast<size_t>(mappedParticles[row]);
        result[0] += x;
        result[1] += y;
        result[2] += z;
    }
}
