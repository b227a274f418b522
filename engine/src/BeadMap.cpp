#include "openmmcg/engine/BeadMap.h"
#include <cstddef>

using namespace OpenMMCG;
using namespace std;

BeadMap::BeadMap(int numParticles, const vector<vector<int>>& particles, const vector<vector<double>>& weights) {
    vector<int> count(numParticles, 0);
    for (size_t bead = 0; bead < particles.size(); bead++) {
        for (size_t k = 0; k < particles[bead].size(); k++) {
            beadParticle.push_back(particles[bead][k]);
            beadWeight.push_back(weights[bead][k]);
            count[particles[bead][k]]++;
        }
        beadStart.push_back(static_cast<int>(beadParticle.size()));
    }

    // Transpose: one row for each particle that is part of a bead.

    vector<int> next(numParticles, -1);
    particleStart.push_back(0);
    for (int particle = 0; particle < numParticles; particle++)
        if (count[particle] > 0) {
            next[particle] = particleStart.back();
            mappedParticle.push_back(particle);
            particleStart.push_back(particleStart.back() + count[particle]);
        }
    particleBead.resize(beadParticle.size());
    particleWeight.resize(beadParticle.size());
    for (int bead = 0; bead < getNumBeads(); bead++)
        for (int k = beadStart[bead]; k < beadStart[bead + 1]; k++) {
            int slot = next[beadParticle[k]]++;
            particleBead[slot] = bead;
            particleWeight[slot] = beadWeight[k];
        }
}

void BeadMap::gather(const double* particlePositions, double* beadPositions) const {
    for (int bead = 0; bead < getNumBeads(); bead++) {
        double x = 0, y = 0, z = 0;
        for (int k = beadStart[bead]; k < beadStart[bead + 1]; k++) {
            const double* position = particlePositions + 3 * static_cast<size_t>(beadParticle[k]);
            x += beadWeight[k] * position[0];
            y += beadWeight[k] * position[1];
            z += beadWeight[k] * position[2];
        }
        double* result = beadPositions + 3 * static_cast<size_t>(bead);
        result[0] = x;
        result[1] = y;
        result[2] = z;
    }
}

void BeadMap::scatterAdd(const double* beadForces, double* particleForces) const {
    for (size_t row = 0; row < mappedParticle.size(); row++) {
        double x = 0, y = 0, z = 0;
        for (int k = particleStart[row]; k < particleStart[row + 1]; k++) {
            const double* force = beadForces + 3 * static_cast<size_t>(particleBead[k]);
            x += particleWeight[k] * force[0];
            y += particleWeight[k] * force[1];
            z += particleWeight[k] * force[2];
        }
        double* result = particleForces + 3 * static_cast<size_t>(mappedParticle[row]);
        result[0] += x;
        result[1] += y;
        result[2] += z;
    }
}
