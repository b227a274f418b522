/**
 * Compute the positions of the beads, R = M r. A bead's particles are given as (slot in the arrays of the Context, and
 * the three numbers of box vectors by which it has been moved there), with their weights.
 */
KERNEL void gatherBeads(GLOBAL const real4* RESTRICT posq,
#ifdef USE_MIXED_PRECISION
        GLOBAL const real4* RESTRICT posqCorrection,
#endif
        GLOBAL const int* RESTRICT beadStart, GLOBAL const int4* RESTRICT particles,
        GLOBAL const mixed* RESTRICT weights, mixed4 boxA, mixed4 boxB, mixed4 boxC, GLOBAL mixed4* RESTRICT beads,
        GLOBAL modelReal* RESTRICT positions, int numBeads) {
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE) {
        mixed4 sum = make_mixed4(0, 0, 0, 0);
        int end = beadStart[bead+1];
        for (int k = beadStart[bead]; k < end; k++) {
            int4 particle = particles[k];
            mixed weight = weights[k];
            real4 pos = posq[particle.x];
            mixed x = pos.x, y = pos.y, z = pos.z;
#ifdef USE_MIXED_PRECISION
            real4 correction = posqCorrection[particle.x];
            x += correction.x;
            y += correction.y;
            z += correction.z;
#endif
            x -= particle.y*boxA.x + particle.z*boxB.x + particle.w*boxC.x;
            y -= particle.z*boxB.y + particle.w*boxC.y;
            z -= particle.w*boxC.z;
            sum.x += weight*x;
            sum.y += weight*y;
            sum.z += weight*z;
        }
        beads[bead] = sum;
        positions[3*bead] = (modelReal) sum.x;
        positions[3*bead+1] = (modelReal) sum.y;
        positions[3*bead+2] = (modelReal) sum.z;
    }
}

/**
 * Add the forces on the beads to the particles they are made of, f += transpose(M) F. Every particle gathers its own
 * sum, always in the same order.
 */
KERNEL void scatterForces(GLOBAL const int* RESTRICT particleSlot, GLOBAL const int* RESTRICT particleStart,
        GLOBAL const int* RESTRICT particleBead, GLOBAL const mixed* RESTRICT particleWeight, int numParticles,
        GLOBAL const modelReal* RESTRICT forces, GLOBAL mm_ulong* RESTRICT forceBuffers, int paddedNumAtoms) {
    for (int row = GLOBAL_ID; row < numParticles; row += GLOBAL_SIZE) {
        mixed x = 0, y = 0, z = 0;
        int end = particleStart[row+1];
        for (int k = particleStart[row]; k < end; k++) {
            int bead = particleBead[k];
            mixed weight = particleWeight[k];
            x += weight*(mixed) forces[3*bead];
            y += weight*(mixed) forces[3*bead+1];
            z += weight*(mixed) forces[3*bead+2];
        }
        int slot = particleSlot[row];
        const mixed scale = 4294967296.0f;
        forceBuffers[slot] += (mm_ulong) (mm_long) (x*scale);
        forceBuffers[slot+paddedNumAtoms] += (mm_ulong) (mm_long) (y*scale);
        forceBuffers[slot+2*paddedNumAtoms] += (mm_ulong) (mm_long) (z*scale);
    }
}
