// The pair list. Macros that the host defines: PERIODIC where there is a box, CELLS where candidates are
// found with cells, TILE and SCAN_SIZE, and modelReal, the type of the model's numbers. A candidate is a bead and the
// edge type of its pair in one integer, bead*8+type.

// Places in the state: see CommonPairList::State.
#define SEARCH 0
#define NUM_PAIRS 1
#define LONG_ROW 2
#define NUM_SEARCHES 3
#define BAD_BEAD 4
#define BAD_FORCE 5
#define NEXT_MEMBER 6

/** Find the combination of box vectors that brings the vector between two beads to its minimum image. */
DEVICE mixed4 findShift(mixed4 delta, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox) {
#ifdef PERIODIC
    mixed nc = -floor(delta.z*invBox.z + (mixed) 0.5f);
    mixed nb = -floor((delta.y + nc*boxC.y)*invBox.y + (mixed) 0.5f);
    mixed na = -floor((delta.x + nc*boxC.x + nb*boxB.x)*invBox.x + (mixed) 0.5f);
    return make_mixed4(na*boxA.x + nb*boxB.x + nc*boxC.x, nb*boxB.y + nc*boxC.y, nc*boxC.z, 0);
#else
    return make_mixed4(0, 0, 0, 0);
#endif
}

DEVICE mixed squaredDistance(mixed4 first, mixed4 second, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox) {
    mixed4 delta = make_mixed4(second.x-first.x, second.y-first.y, second.z-first.z, 0);
    mixed4 shift = findShift(delta, boxA, boxB, boxC, invBox);
    mixed x = delta.x+shift.x, y = delta.y+shift.y, z = delta.z+shift.z;
    return x*x + y*y + z*z;
}

/**
 * Ask for a search if the host does, or if a bead has moved too far since the last one; by whole box vectors it may move
 * any time. Comparisons are written such that positions that are not numbers ask for it, too.
 */
KERNEL void checkDisplacement(GLOBAL const mixed4* RESTRICT beads, GLOBAL const mixed4* RESTRICT builtBeads,
        mixed allowedSquare, int force, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox,
        GLOBAL int* RESTRICT state, int numBeads) {
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE) {
        mixed4 now = beads[bead];
        if (force || !(squaredDistance(builtBeads[bead], now, boxA, boxB, boxC, invBox) < allowedSquare))
            state[SEARCH] = 1;
        if (!(now.x-now.x == 0 && now.y-now.y == 0 && now.z-now.z == 0))
            state[BAD_BEAD] = bead+1;
    }
}

#ifdef CELLS

/**
 * The cell along one axis of a fractional coordinate, in which one cell has the length 1, wrapped into the grid. The
 * integer is what is kept inside: compilers may take for granted that there are no coordinates that are not numbers.
 */
DEVICE int wrapCell(mixed coordinate, int size) {
    mixed cell = floor(coordinate);
    int index = (int) (cell - size*floor(cell/size));
    return (index < 0 ? 0 : (index < size ? index : size-1));
}

/**
 * Find the cell of a bead. The grid fills the box. Without a box it is repeated through space, and the beads that share
 * a cell from far apart are told by their distance.
 */
DEVICE int4 findCell(mixed4 bead, int4 gridSize, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox) {
#ifdef PERIODIC
    mixed c = bead.z*invBox.z;
    mixed b = (bead.y - c*boxC.y)*invBox.y;
    mixed a = (bead.x - b*boxB.x - c*boxC.x)*invBox.x;
    return make_int4(wrapCell(a*gridSize.x, gridSize.x), wrapCell(b*gridSize.y, gridSize.y),
                     wrapCell(c*gridSize.z, gridSize.z), 0);
#else
    return make_int4(wrapCell(bead.x*invBox.w, gridSize.x), wrapCell(bead.y*invBox.w, gridSize.y),
                     wrapCell(bead.z*invBox.w, gridSize.z), 0);
#endif
}

DEVICE int cellIndex(int x, int y, int z, int replica, int4 gridSize) {
    return ((replica*gridSize.z + z)*gridSize.y + y)*gridSize.x + x;
}

KERNEL void clearCells(int numCells, GLOBAL int* RESTRICT cellCount, GLOBAL int* RESTRICT state) {
    if (state[SEARCH] == 0)
        return;
    for (int cell = GLOBAL_ID; cell < numCells; cell += GLOBAL_SIZE)
        cellCount[cell] = 0;
    if (GLOBAL_ID == 0)
        state[NEXT_MEMBER] = 0;
}

/**
 * Find the cell of every bead and count the beads of every cell. The kernels that follow read the cells from here: a
 * compiler may round differently in each, and a bead must not be counted in one cell and put into another.
 */
KERNEL void countCells(GLOBAL const mixed4* RESTRICT beads, GLOBAL const int* RESTRICT replicas, int4 gridSize,
        mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox, GLOBAL int* RESTRICT homes,
        GLOBAL int* RESTRICT cellCount, GLOBAL const int* RESTRICT state, int numBeads) {
    if (state[SEARCH] == 0)
        return;
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE) {
        int4 cell = findCell(beads[bead], gridSize, boxA, boxB, boxC, invBox);
        int home = cellIndex(cell.x, cell.y, cell.z, replicas[bead], gridSize);
        homes[bead] = home;
        ATOMIC_ADD(&cellCount[home], 1);
    }
}

/** Give every cell a piece of the array of members. Its place does not matter: rows of candidates are sorted later. */
KERNEL void allocateCells(int numCells, GLOBAL const int* RESTRICT cellCount, GLOBAL int* RESTRICT cellStart,
        GLOBAL int* RESTRICT cellEnd, GLOBAL int* RESTRICT state) {
    if (state[SEARCH] == 0)
        return;
    for (int cell = GLOBAL_ID; cell < numCells; cell += GLOBAL_SIZE) {
        int start = 0;
        if (cellCount[cell] > 0)
            start = ATOMIC_ADD(&state[NEXT_MEMBER], cellCount[cell]);
        cellStart[cell] = start;
        cellEnd[cell] = start;
    }
}

KERNEL void fillCells(GLOBAL const int* RESTRICT homes, GLOBAL int* RESTRICT cellEnd, GLOBAL int* RESTRICT members,
        GLOBAL const int* RESTRICT state, int numBeads) {
    if (state[SEARCH] == 0)
        return;
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE)
        members[ATOMIC_ADD(&cellEnd[homes[bead]], 1)] = bead;
}

/** How many cells along an axis hold neighbours of a cell, each of them once. */
DEVICE int numNeighborCells(int size) {
    return (size < 3 ? size : 3);
}

#endif

/** The topological class of a pair. */
DEVICE int findEdgeType(int first, int second, GLOBAL const int* RESTRICT molecules,
        GLOBAL const int* RESTRICT nearStart, GLOBAL const int* RESTRICT near) {
    if (molecules[first] != molecules[second])
        return 0;
    int end = nearStart[first+1];
    for (int k = nearStart[first]; k < end; k++)
        if (near[k]>>3 == second)
            return near[k]&7;
    return 1;
}

/**
 * Find the candidates of every bead: those closer than the radius of the list. Rows have room for rowLength candidates;
 * if one needs more, the host is told. cellStart and cellEnd name the members of every cell, or of every replica where
 * there are no cells, and homes the cell or replica of every bead.
 */
KERNEL void findCandidates(GLOBAL const mixed4* RESTRICT beads, GLOBAL const int* RESTRICT homes,
        GLOBAL const int* RESTRICT cellStart, GLOBAL const int* RESTRICT cellEnd, GLOBAL const int* RESTRICT members,
        GLOBAL const int* RESTRICT molecules, GLOBAL const int* RESTRICT nearStart, GLOBAL const int* RESTRICT near,
        int4 gridSize, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox, mixed radiusSquare, int rowLength,
        GLOBAL int* RESTRICT rowCount, GLOBAL int* RESTRICT rows, GLOBAL mixed4* RESTRICT builtBeads,
        GLOBAL int* RESTRICT state, int numBeads) {
    if (state[SEARCH] == 0)
        return;
    for (int bead = GLOBAL_ID; bead < numBeads; bead += GLOBAL_SIZE) {
        mixed4 position = beads[bead];
        int count = 0;
#ifdef CELLS
        int home = homes[bead], x = home%gridSize.x, y = home/gridSize.x%gridSize.y;
        int z = home/(gridSize.x*gridSize.y)%gridSize.z, replica = home/(gridSize.x*gridSize.y*gridSize.z);
        int nx = numNeighborCells(gridSize.x), ny = numNeighborCells(gridSize.y), nz = numNeighborCells(gridSize.z);
        for (int offset = 0; offset < nx*ny*nz; offset++) {
            int cell = cellIndex((x + offset%nx + gridSize.x-1) % gridSize.x, (y + offset/nx%ny + gridSize.y-1) % gridSize.y,
                                 (z + offset/(nx*ny) + gridSize.z-1) % gridSize.z, replica, gridSize);
#else
        {
            int cell = homes[bead];
#endif
            int end = cellEnd[cell];
            for (int k = cellStart[cell]; k < end; k++) {
                int other = members[k];
                if (other == bead)
                    continue;
                if (squaredDistance(position, beads[other], boxA, boxB, boxC, invBox) < radiusSquare) {
                    if (count < rowLength)
                        rows[bead*rowLength+count] = other*8 + findEdgeType(bead, other, molecules, nearStart, near);
                    count++;
                }
            }
        }
        rowCount[bead] = count;
        builtBeads[bead] = position;
        if (count > rowLength)
            state[LONG_ROW] = 1;
    }
}

#ifdef CELLS

/** Sort the candidates of every bead: the place of each is the number of those before it. */
KERNEL void sortCandidates(GLOBAL const int* RESTRICT rowCount, GLOBAL const int* RESTRICT unsorted,
        GLOBAL int* RESTRICT rows, int rowLength, GLOBAL const int* RESTRICT state, int numBeads) {
    if (state[SEARCH] == 0)
        return;
    for (int bead = GROUP_ID; bead < numBeads; bead += NUM_GROUPS) {
        int count = rowCount[bead];
        if (count > rowLength)
            count = rowLength;
        GLOBAL const int* row = &unsorted[bead*rowLength];
        for (int k = LOCAL_ID; k < count; k += LOCAL_SIZE) {
            int candidate = row[k], place = 0;
            for (int other = 0; other < count; other++)
                place += (row[other] < candidate ? 1 : 0);
            rows[bead*rowLength+place] = candidate;
        }
    }
}

#endif

/** Count the pairs of every bead. A block of TILE threads shares the work on a bead. */
KERNEL void countPairs(GLOBAL const mixed4* RESTRICT beads, GLOBAL const int* RESTRICT rowCount,
        GLOBAL const int* RESTRICT rows, int rowLength, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox,
        mixed cutoffSquare, GLOBAL int* RESTRICT pairCount, int numBeads) {
    LOCAL int partial[TILE];
    for (int bead = GROUP_ID; bead < numBeads; bead += NUM_GROUPS) {
        mixed4 position = beads[bead];
        int end = rowCount[bead], count = 0;
        if (end > rowLength)
            end = rowLength;
        for (int k = LOCAL_ID; k < end; k += TILE)
            if (squaredDistance(position, beads[rows[bead*rowLength+k]>>3], boxA, boxB, boxC, invBox) < cutoffSquare)
                count++;
        partial[LOCAL_ID] = count;
        SYNC_THREADS;
        if (LOCAL_ID == 0) {
            for (int k = 1; k < TILE; k++)
                count += partial[k];
            pairCount[bead] = count;
        }
        SYNC_THREADS;
    }
}

/**
 * Turn the numbers of pairs into the places where they start, and prepare the state for the next step. This runs in a
 * single block.
 */
KERNEL void scanPairs(GLOBAL const int* RESTRICT pairCount, GLOBAL int* RESTRICT pairStart,
        GLOBAL int* RESTRICT state, int numBeads) {
    LOCAL int sums[SCAN_SIZE];
    int chunk = (numBeads+SCAN_SIZE-1)/SCAN_SIZE;
    int first = LOCAL_ID*chunk, last = (first+chunk < numBeads ? first+chunk : numBeads);
    int sum = 0;
    for (int bead = first; bead < last; bead++)
        sum += pairCount[bead];
    sums[LOCAL_ID] = sum;
    SYNC_THREADS;
    for (int step = 1; step < SCAN_SIZE; step *= 2) {
        int before = (LOCAL_ID >= step ? sums[LOCAL_ID-step] : 0);
        SYNC_THREADS;
        sums[LOCAL_ID] += before;
        SYNC_THREADS;
    }
    int start = sums[LOCAL_ID]-sum;
    for (int bead = first; bead < last; bead++) {
        pairStart[bead] = start;
        start += pairCount[bead];
    }
    if (LOCAL_ID == SCAN_SIZE-1) {
        state[NUM_PAIRS] = sums[LOCAL_ID];
        state[NUM_SEARCHES] += state[SEARCH];
        state[SEARCH] = 0;
    }
}

/** Write the pairs within the cutoff and the padding behind them. A block of TILE threads shares the work on a bead. */
KERNEL void writePairs(GLOBAL const mixed4* RESTRICT beads, GLOBAL const int* RESTRICT rowCount,
        GLOBAL const int* RESTRICT rows, int rowLength, mixed4 boxA, mixed4 boxB, mixed4 boxC, mixed4 invBox,
        mixed cutoffSquare, mixed padding, GLOBAL const int* RESTRICT pairStart, int capacity,
        GLOBAL mm_long* RESTRICT pairs, GLOBAL modelReal* RESTRICT shifts, GLOBAL mm_long* RESTRICT edgeTypes,
        GLOBAL int* RESTRICT state, int numBeads) {
    LOCAL int isPair[TILE];
    for (int bead = GROUP_ID; bead < numBeads; bead += NUM_GROUPS) {
        mixed4 position = beads[bead];
        int end = rowCount[bead], start = pairStart[bead];
        if (end > rowLength)
            end = rowLength;
        for (int base = 0; base < end; base += TILE) {
            int k = base+LOCAL_ID, candidate = 0, found = 0;
            mixed4 shift = make_mixed4(0, 0, 0, 0);
            if (k < end) {
                candidate = rows[bead*rowLength+k];
                mixed4 other = beads[candidate>>3];
                mixed4 delta = make_mixed4(other.x-position.x, other.y-position.y, other.z-position.z, 0);
                shift = findShift(delta, boxA, boxB, boxC, invBox);
                mixed x = delta.x+shift.x, y = delta.y+shift.y, z = delta.z+shift.z;
                found = (x*x + y*y + z*z < cutoffSquare ? 1 : 0);
            }
            isPair[LOCAL_ID] = found;
            SYNC_THREADS;
            int before = 0, total = 0;
            for (int other = 0; other < TILE; other++) {
                before += (other < LOCAL_ID ? isPair[other] : 0);
                total += isPair[other];
            }
            SYNC_THREADS;
            int pair = start+before;
            if (found && pair < capacity) {
                pairs[pair] = bead;
                pairs[capacity+pair] = candidate>>3;
                shifts[3*pair] = (modelReal) shift.x;
                shifts[3*pair+1] = (modelReal) shift.y;
                shifts[3*pair+2] = (modelReal) shift.z;
                edgeTypes[pair] = candidate&7;
            }
            start += total;
        }
    }
    for (int pair = state[NUM_PAIRS]+GLOBAL_ID; pair < capacity; pair += GLOBAL_SIZE) {
        pairs[pair] = 0;
        pairs[capacity+pair] = 0;
        shifts[3*pair] = (modelReal) padding;
        shifts[3*pair+1] = 0;
        shifts[3*pair+2] = 0;
        edgeTypes[pair] = 0;
    }
}
