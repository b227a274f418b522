#ifndef OPENMMCG_ENGINE_NATIVE_BLOCKS_H_
#define OPENMMCG_ENGINE_NATIVE_BLOCKS_H_

#include "AlignedVector.h"
#include "FilterTable.h"
#include "openmmcg/engine/ModelRunner.h"
#include <vector>

namespace OpenMMCG {

/**
 * Pairs of one block of beads, with filters located and room for the derivative by each distance.
 */
template <class Real>
struct BlockPairs {
    std::vector<int> first, second;
    std::vector<std::size_t> offset;
    std::vector<Real> value, slope;
    std::vector<double> distance;
    /** Unit vectors from the first to the second bead. */
    std::vector<double> direction;
    /** Derivatives by the distance and, for networks that use directions, by their three components. */
    std::vector<Real> distanceGradient, directionGradient;
    int size() const {
        return static_cast<int>(first.size());
    }
    void clear();
    void add(int i, int j, const double* vector, double length, std::size_t rows, const Real* values,
             const Real* slopes);
    FilterPairs<Real> view() const {
        return {size(), first.data(), second.data(), offset.data(), value.data(), slope.data(), direction.data()};
    }
    /** Set the derivatives to zero. */
    void clearGradients(bool directional);
    /** The force on the first bead of a pair; the second feels the opposite. */
    void getForce(int pair, double* force) const;
};

/**
 * A range of beads that one thread works on. Pairs with both ends inside are evaluated once; pairs that
 * lead outside are evaluated by both blocks, each for its own bead, so that no two threads ever write
 * to the same place.
 */
template <class Real>
struct Block {
    int begin, end;
    BlockPairs<Real> inner, outer;
    int size() const {
        return end - begin;
    }
    /**
     * Collect the pairs of a configuration.
     *
     * @param rowStarts    tells where each bead's pairs begin
     * @param directional  whether there will be derivatives by directions
     */
    void gather(const ModelInput& input, const std::vector<int64_t>& rowStarts, const FilterTable<Real>& table,
                bool directional);
    /** Add the pairs' forces on the beads of this block. */
    void addForces(double* forces) const;
};

/**
 * The division of beads into blocks. It follows from the pairs alone, so the order of all sums, and with it
 * every bit of the result, is the same for any number of threads.
 */
template <class Real>
class Blocks {
public:
    /** Divide the beads of a configuration anew. */
    void update(const ModelInput& input);
    int size() const {
        return count;
    }
    Block<Real>& operator[](int index) {
        return blocks[index];
    }
    const std::vector<int64_t>& getRowStarts() const {
        return rowStarts;
    }
    /** Whether some pair leads from one block to another. */
    bool areConnected() const {
        return connected;
    }

private:
    void addBlocks(int begin, int end);
    // Blocks are kept when there are fewer for a while, since their arrays would be allocated again.
    std::vector<Block<Real>> blocks;
    int count = 0;
    bool connected = false;
    std::vector<int64_t> rowStarts;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_NATIVE_BLOCKS_H_*/
