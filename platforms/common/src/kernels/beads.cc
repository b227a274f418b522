// Macros that the host defines: modelReal, the type of the model's numbers, PERIODIC where pairs are found across the
// borders of a box, and BAD_FORCE_PLACE, the place in the state of the list of pairs (see CommonPairList::State), if there is
// one.

/** Read the position of a particle in the highest precision. */
DEVICE mixed4 readPosition(int slot, GLOBAL const real4* RESTRICT posq
#ifdef USE_MIXED_PRECISION
        , GLOBAL const real4* RESTRICT posqCorrection
#endif
        ) {
    real4 pos = posq[slot];
#ifdef USE_MIXED_PRECISION
    real4 correction = posqCorrection[slot];
    return make_mixed4(pos.x + (mixed) correction.x, pos.y + (mixed) correction.y, pos.z + (mixed) correction.z, 0);
#else
    return make_mixed4(pos.x, pos.y, pos.z, 0);
#endif
}

/**
 * Compute the positions of the beads, R = M r. A bead's particles are given as (slot in the arrays of the Context, and
 * the three numbers of box vectors by which it has been moved there), with their weights.
 *
 * Beads are moved close to the origin, unless they shall be where particles are for the user: each has a particle as its
 * reference, which is brought into the box with everything that has the same one, or to the origin where there is no
 * box. Numbers of box vectors are added up first, so that precision is not lost on the way.
 */
KERNEL void gatherBeads(GLOBAL const real4* RESTRICT posq,
#ifdef USE_MIXED_PRECISION
        GLOBAL const real4* RESTRICT posqCorrection,
#endif
        GLOBAL const int* RESTRICT beadStart, GLOBAL const int4* RESTRICT particles,
        GLOBAL const mixed* RESTRICT weights, GLOBAL const int4* RESTRICT references, int nearOrigin, mixed4 boxA,
        mixed4 boxB, mixed4 boxC, mixed4 invBox, GLOBAL mixed4* RESTRICT beads, GLOBAL modelReal* RESTRICT positions,
        int numBeads) {
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE) {
        mixed4 origin = make_mixed4(0, 0, 0, 0);
        mixed na = 0, nb = 0, nc = 0;
        if (nearOrigin) {
            int4 reference = references[bead];
#ifdef USE_MIXED_PRECISION
            mixed4 place = readPosition(reference.x, posq, posqCorrection);
#else
            mixed4 place = readPosition(reference.x, posq);
#endif
            na = -reference.y;
            nb = -reference.z;
            nc = -reference.w;
#ifdef PERIODIC
            mixed c = place.z*invBox.z;
            mixed b = (place.y - c*boxC.y)*invBox.y;
            na += floor((place.x - b*boxB.x - c*boxC.x)*invBox.x);
            nb += floor(b);
            nc += floor(c);
#else
            origin = place;
#endif
        }
        mixed4 sum = make_mixed4(0, 0, 0, 0);
        int end = beadStart[bead+1];
        for (int k = beadStart[bead]; k < end; k++) {
            int4 particle = particles[k];
            mixed weight = weights[k];
#ifdef USE_MIXED_PRECISION
            mixed4 pos = readPosition(particle.x, posq, posqCorrection);
#else
            mixed4 pos = readPosition(particle.x, posq);
#endif
            mixed a = particle.y+na, b = particle.z+nb, c = particle.w+nc;
            sum.x += weight*(pos.x - origin.x - (a*boxA.x + b*boxB.x + c*boxC.x));
            sum.y += weight*(pos.y - origin.y - (b*boxB.y + c*boxC.y));
            sum.z += weight*(pos.z - origin.z - c*boxC.z);
        }
        beads[bead] = sum;
        positions[3*bead] = (modelReal) sum.x;
        positions[3*bead+1] = (modelReal) sum.y;
        positions[3*bead+2] = (modelReal) sum.z;
    }
}

/**
 * Add the forces on the beads to the particles they are made of, f += transpose(M) F. Every particle gathers its own
 * sum, always in the same order. A bead whose force is not a number is reported: sums are kept as integers, which show
 * nothing of it.
 */
KERNEL void scatterForces(GLOBAL const int* RESTRICT particleSlot, GLOBAL const int* RESTRICT particleStart,
        GLOBAL const int* RESTRICT particleBead, GLOBAL const mixed* RESTRICT particleWeight, int numParticles,
        GLOBAL const modelReal* RESTRICT forces, GLOBAL mm_ulong* RESTRICT forceBuffers, int paddedNumAtoms
#ifdef BAD_FORCE_PLACE
        , GLOBAL int* RESTRICT state
#endif
        ) {
    for (int row = GLOBAL_ID; row < numParticles; row += GLOBAL_SIZE) {
        mixed x = 0, y = 0, z = 0;
        int end = particleStart[row+1];
        for (int k = particleStart[row]; k < end; k++) {
            int bead = particleBead[k];
            mixed weight = particleWeight[k];
            mixed fx = forces[3*bead], fy = forces[3*bead+1], fz = forces[3*bead+2];
            x += weight*fx;
            y += weight*fy;
            z += weight*fz;
#ifdef BAD_FORCE_PLACE
            if (!(fx-fx == 0 && fy-fy == 0 && fz-fz == 0))
                state[BAD_FORCE_PLACE] = bead+1;
#endif
        }
        int slot = particleSlot[row];
        const mixed scale = 4294967296.0f;
        forceBuffers[slot] += (mm_ulong) (mm_long) (x*scale);
        forceBuffers[slot+paddedNumAtoms] += (mm_ulong) (mm_long) (y*scale);
        forceBuffers[slot+2*paddedNumAtoms] += (mm_ulong) (mm_long) (z*scale);
    }
}
