#ifndef OPENMMCG_ENGINE_PAIRLIST_H_
#define OPENMMCG_ENGINE_PAIRLIST_H_

#include "openmmcg/engine/Box.h"
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace OpenMMCG {

/**
 * What the pair list needs to know about the beads besides where they are.
 */
struct BeadTopology {
    /** The molecule of each bead; ids of different replicas do not interfere. */
    std::vector<int> molecules;
    /** The replica of each bead; beads of different replicas never form a pair. */
    std::vector<int> replicas;
    /** Bonds between beads, which define the edge types. Bonded beads have the same molecule and replica. */
    std::vector<std::pair<int, int>> bonds;
};

/**
 * The topological class of a pair, as networks embed it.
 */
enum EdgeType : int64_t { OtherMolecule = 0, SameMolecule = 1, Bonded12 = 2, Bonded13 = 3, Bonded14 = 4 };

/**
 * For every bead, the beads within three bonds of it in ascending order, with the edge type of the pair.
 */
std::vector<std::vector<std::pair<int, uint8_t>>> findNearBeads(const BeadTopology& topology);

/**
 * The pairs of one configuration, in the layout that a model's `forward` takes.
 *
 * Each pair stands in the list twice, once in each direction. Pairs are sorted by their first
 * bead, then by their second; behind them the list is padded with pairs (0, 0) whose shift is
 * twice the cutoff along x. The vector of a pair is positions[j] + shift - positions[i].
 */
struct PairBatch {
    /** The number of true directed pairs. */
    int64_t numPairs = 0;
    /** The length of the arrays: numPairs and the padding. */
    int64_t size = 0;
    /** First beads of all pairs, then second beads of all pairs: 2*size values. */
    std::vector<int64_t> indices;
    /** Periodic shift of each pair in nm: 3*size values. */
    std::vector<double> shifts;
    /** EdgeType of each pair: size values. */
    std::vector<int64_t> edgeTypes;
    /** Find where the pairs of each bead begin; the last entry is numPairs. */
    void findRows(int numBeads, std::vector<int64_t>& starts) const;
};

class BeadOrder;
class CellGrid;
class ThreadTeam;

/**
 * Finds all pairs of beads closer than a cutoff.
 *
 * Candidates within cutoff + skin are found with a cell list and kept until a bead has moved by
 * half the skin or the box has changed. Every update selects the pairs within the cutoff from
 * them, so the result depends neither on the skin nor on the number of threads. Arrays grow as
 * needed; no pair is dropped.
 */
class PairList {
public:
    /**
     * @param topology    molecules, replicas and bonds of the beads
     * @param cutoff      the largest distance of a pair, in nm
     * @param skin        how far beyond the cutoff candidates are kept, in nm
     * @param padding     the length of the list is a multiple of this number
     * @param numThreads  how many threads work on large systems
     */
    PairList(const BeadTopology& topology, double cutoff, double skin, int padding = 8, int numThreads = 1);
    ~PairList();
    /**
     * Find the pairs of a configuration.
     *
     * @param positions  x, y, z of every bead in nm, finite and unwrapped
     * @param box        the periodic box; its maxCutoff() must not be less than the cutoff
     * @param order      if not null, pairs are those of beads renumbered by it, sorted by their first bead alone
     * @return the pairs, valid until the next call
     * @throws ModelError if the box is not in reduced form
     */
    const PairBatch& update(const double* positions, const Box& box, const BeadOrder* order = nullptr);
    /** How often the candidates have been searched anew. */
    int64_t getNumRebuilds() const {
        return numRebuilds;
    }
    /** The number of directed candidates within cutoff + skin. */
    int64_t getNumCandidates() const;

private:
    /**
     * A bead that may come within the cutoff, and the image of it that does: no other can before the next search.
     */
    struct Candidate {
        int bead;
        uint8_t image, edgeType;
    };
    /** Some rows of the list, in the order in which the last search went through the beads. */
    struct Chunk {
        std::vector<Candidate> candidates;
        /** Where the candidates of each row begin; the last entry is their number. */
        std::vector<int> start;
        /** Candidates within the cutoff in the last update. */
        std::vector<int> accepted;
    };
    bool needsRebuild(const double* positions, const Box& box) const;
    void rebuild(const double* positions, const Box& box);
    void wrap(const double* positions);
    void searchChunk(size_t chunk);
    void searchRow(size_t row, size_t region, Chunk& chunk) const;
    void selectPairs(size_t chunk, const double* positions);
    /** The periodic shift of a pair, and its squared distance with it. Earlier searches do not change a bit of them. */
    void findShift(int bead, const Candidate& other, double shift[3]) const;
    double squaredDistance(int bead, const Candidate& other, const double* positions) const;
    void writePairs(size_t chunk, const BeadOrder* order);
    void writePadding();
    uint8_t edgeType(int first, int second) const;
    template <class Work>
    void forChunks(Work work);
    double cutoff, skin, listRadius = 0, allowedDisplacement = 0;
    int padding;
    BeadTopology topology;
    // See findNearBeads().
    std::vector<std::vector<std::pair<int, uint8_t>>> near;
    std::unique_ptr<ThreadTeam> team;

    std::vector<std::vector<int>> replicaGroups;
    /** The rows of a replica, and the grid in which its pairs are sought if it is large. */
    struct Region {
        size_t begin, end;
        std::unique_ptr<CellGrid> grid;
    };
    std::vector<Region> regions;
    std::vector<int> rowBeads;
    std::vector<Chunk> chunks;
    std::vector<double> builtPositions;
    Box builtBox;
    int64_t numRebuilds = 0;

    // Positions are taken back into the box by what was outside of it in the last search (so many times each of the
    // box vectors), so that a few images, whose shifts are in a table, are all there are.
    const double* wrapped = nullptr;
    std::vector<double> wrappedPositions, rowPositions, boxCounts, outside, imageShifts;
    std::vector<int> rowLengths;
    std::vector<int64_t> firstPairs;
    PairBatch batch;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_PAIRLIST_H_*/
