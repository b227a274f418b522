#ifndef OPENMMCG_ENGINE_PAIRLIST_H_
#define OPENMMCG_ENGINE_PAIRLIST_H_

#include "openmmcg/engine/Box.h"
#include <array>
#include <cstdint>
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
    /** Bonds between beads, which define the edge types. */
    std::vector<std::pair<int, int>> bonds;
};

/**
 * The topological class of a pair, as networks embed it.
 */
enum EdgeType : int64_t { OtherMolecule = 0, SameMolecule = 1, Bonded12 = 2, Bonded13 = 3, Bonded14 = 4 };

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

/**
 * Finds all pairs of beads closer than a cutoff.
 *
 * Candidates within cutoff + skin are found with a cell list and kept until a bead has moved by
 * half the skin or the box has changed. Every update selects the pairs within the cutoff from
 * them, so the result does not depend on the skin. Arrays grow as needed; no pair is dropped.
 */
class PairList {
public:
    /**
     * @param topology  molecules, replicas and bonds of the beads
     * @param cutoff    the largest distance of a pair, in nm
     * @param skin      how far beyond the cutoff candidates are kept, in nm
     * @param padding   the length of the list is a multiple of this number
     */
    PairList(const BeadTopology& topology, double cutoff, double skin, int padding = 8);
    /**
     * Find the pairs of a configuration.
     *
     * @param positions  x, y, z of every bead in nm, finite and unwrapped
     * @param box        the periodic box; its maxCutoff() must not be less than the cutoff
     * @return the pairs, valid until the next call
     */
    const PairBatch& update(const double* positions, const Box& box);
    double getCutoff() const {
        return cutoff;
    }
    /** How often the candidates have been searched anew. */
    int64_t getNumRebuilds() const {
        return numRebuilds;
    }
    /** The number of directed candidates within cutoff + skin. */
    int64_t getNumCandidates() const {
        return static_cast<int64_t>(candidate.size());
    }

private:
    /** A bead that may come within the cutoff, and the image of it that does: no other can before the next search. */
    struct Candidate {
        int bead;
        std::array<double, 3> shift;
    };
    bool needsRebuild(const double* positions, const Box& box) const;
    void rebuild(const double* positions, const Box& box);
    void findByAllPairs(const std::vector<int>& group, const double* positions, const Box& box);
    void findByCells(const std::vector<int>& group, const double* positions, const Box& box);
    void addCandidatesOf(int bead, const double* positions, const Box& box);
    void classifyTopology();
    int64_t edgeType(int first, int second) const;
    double cutoff, skin, listRadius = 0, allowedDisplacement = 0;
    int padding;
    BeadTopology topology;
    std::vector<std::vector<int>> replicaGroups;
    // Beads within three bonds of each bead, sorted, with the edge type.
    std::vector<std::vector<std::pair<int, int64_t>>> near;
    std::vector<double> builtPositions;
    Box builtBox;
    int64_t numRebuilds = 0;
    std::vector<std::vector<Candidate>> found;
    std::vector<int> scratch, cellStart, cellMembers;
    std::vector<std::array<int, 3>> homes;
    std::vector<int64_t> candidateStart;
    std::vector<Candidate> candidate;
    std::vector<int64_t> candidateEdgeType;
    std::vector<int64_t> secondBead;
    PairBatch batch;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_PAIRLIST_H_*/
