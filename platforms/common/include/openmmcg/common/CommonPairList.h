#ifndef OPENMMCG_COMMON_COMMONPAIRLIST_H_
#define OPENMMCG_COMMON_COMMONPAIRLIST_H_

#include "openmm/common/ComputeArray.h"
#include "openmm/common/ComputeContext.h"
#include "openmm/common/ComputeEvent.h"
#include "openmmcg/common/DeviceBuffer.h"
#include "openmmcg/engine/PairList.h"
#include <memory>
#include <vector>

namespace OpenMMCG {

/**
 * Finds all pairs of beads closer than a cutoff on a device, in the layout that a model's `forward` takes.
 *
 * It works as PairList does on the host: candidates within cutoff + skin are kept until a bead has moved by half the
 * skin or the box has changed, and every update selects the pairs from them. The device decides on its own whether to
 * search, so the host never waits for it.
 *
 * Arrays have fixed sizes. Where they are too small for a configuration, the list is cut off and the device says so:
 * check() reads this after the fact and makes room, and the caller has to repeat the update.
 */
class CommonPairList {
public:
    /** What the device says of the last update. */
    struct State {
        /** Whether a search is due. */
        int search;
        /** The number of directed pairs within the cutoff, even where there was no room for them. */
        int numPairs;
        /** Whether a bead had more candidates than there was room for. */
        int longRow;
        /** The number of searches so far. */
        int numSearches;
        /** One more than the index of a bead whose position is not a number, or 0. */
        int badBead;
        /**
         * Likewise of a bead whose force is not a number, in the evaluation before. CommonBeadMap::scatter() writes it.
         */
        int badForce;
        /** The device's own. */
        int nextMember;
    };
    /**
     * @param cc             the device's context, which must be current in all calls
     * @param topology       molecules, replicas and bonds of the beads
     * @param cutoff         the largest distance of a pair, in nm
     * @param skin           how far beyond the cutoff candidates are kept, in nm
     * @param periodic       whether there is a periodic box
     * @param modelIsDouble  whether shifts are written in double precision
     * @param allPairsLimit  up to how many beads in a replica candidates are found by looking at all pairs
     */
    CommonPairList(OpenMM::ComputeContext& cc, const BeadTopology& topology, double cutoff, double skin, bool periodic,
                   bool modelIsDouble, int allPairsLimit = 512);
    /**
     * Set where the device reports its state. Where copies to the host need page-locked memory in order not to stall, a
     * platform provides it. It must live as long as this object.
     */
    void setReportMemory(State* memory) {
        report = memory;
    }
    /** Take over another topology of as many beads. */
    void setTopology(const BeadTopology& topology);
    /**
     * Set where pairs are written, and for how many there is room. Until this is called, pairs are only counted.
     */
    void setBuffers(const ModelBuffers& buffers, int capacity);

    /**
     * Write no pairs any more, until there are new buffers.
     */
    void releaseBuffers() {
        capacity = 0;
    }
    /** How many pairs there is room for: P in the shapes of the model's inputs. */
    int getCapacity() const {
        return capacity;
    }
    /** Whether the buffers have room for the pairs of the last update that was checked. */
    bool hasRoom() const;
    /**
     * The capacity to choose for the number of pairs of the last update that was checked: some more than that, so that
     * it lasts for a while.
     */
    int getRecommendedCapacity() const;
    /**
     * Set how many candidates a bead can have. If there is not enough memory, there is room for none afterwards, and
     * the next update begins with a few.
     */
    void setRowLength(int length);
    /**
     * Ask the device to find the pairs of a configuration, and to report on it.
     *
     * @param beads  the positions of the beads, four numbers each
     * @param box    the periodic box; its maxCutoff() must not be less than the cutoff
     */
    void update(OpenMM::ComputeArray& beads, const Box& box);
    /**
     * Tell whether the last update found room for everything. This waits for the device to finish the update, and for
     * nothing that came later. If candidates had no room, it makes room for them. If pairs had none, it is for the
     * caller to set larger buffers.
     */
    bool check();
    /** Leave out the check of the last update, whose evaluation was cut short. The next one begins anew. */
    void forget();
    /** Where the device keeps its State. */
    OpenMM::ArrayInterface& getDeviceState() {
        return deviceState;
    }
    /** What the device said when check() was called last. */
    const State& getState() const {
        return state;
    }
    /** The number of candidates in all rows. This waits for the device. */
    int64_t countCandidates();

private:
    void createKernels(bool modelIsDouble);
    void addSearchKernels(const OpenMM::ComputeProgram& program);
    void chooseGrid(const Box& box);
    void growRows();
    void clearReports();
    OpenMM::ComputeContext& cc;
    int numBeads, numReplicas = 0, capacity = 0, firstRowLength = 0, rowLength = 0, cellsPerAxis = 1, numCells = 0;
    double cutoff, skin;
    bool periodic, usesCells;
    OpenMM::mm_int4 grid;
    bool mustSearch = true;
    Box lastBox;
    OpenMM::ComputeArray molecules, replicas, nearStart, near, builtBeads, rowCount, pairCount, pairStart, deviceState,
        homes, cellCount, cellStart, cellEnd, members;
    std::unique_ptr<OpenMM::ComputeArray> rows, unsortedRows;
    OpenMM::ComputeKernel displacementKernel, clearKernel, countCellsKernel, allocateKernel, fillKernel, searchKernel,
        sortKernel, countKernel, scanKernel, writeKernel;
    OpenMM::ComputeEvent reported;
    State state{}, ownReport{};
    State* report = &ownReport;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_COMMON_COMMONPAIRLIST_H_*/
