#include "openmmcg/common/CommonBeadMap.h"
#include "CommonCGKernelSources.h"
#include "DeviceValues.h"
#include "openmmcg/common/CommonPairList.h"
#include <cstddef>
#include <map>

using namespace OpenMMCG;
using namespace OpenMM;
using namespace std;

CommonBeadMap::CommonBeadMap(ComputeContext& cc, const BeadSet& beads, bool modelIsDouble, bool periodic,
                             ArrayInterface* listState)
    : cc(cc), numBeads(static_cast<int>(beads.types.size())), periodic(periodic) {
    initializeMixed(beadPositions, cc, numBeads, 4, "cgBeads");
    setBeads(beads);
    map<string, string> defines = {{"modelReal", modelIsDouble ? "double" : "float"}};
    if (periodic)
        defines.insert({"PERIODIC", "1"});
    if (listState != nullptr)
        defines.insert({"BAD_FORCE_PLACE", to_string(offsetof(CommonPairList::State, badForce) / sizeof(int))});
    ComputeProgram program = cc.compileProgram(KernelSources::beads, defines);
    gatherKernel = program->createKernel("gatherBeads");
    gatherKernel->addArg(cc.getPosq());
    if (cc.getUseMixedPrecision())
        gatherKernel->addArg(cc.getPosqCorrection());
    gatherKernel->addArg(beadStart);
    gatherKernel->addArg(beadParticles);
    gatherKernel->addArg(beadWeights);
    gatherKernel->addArg(references);
    gatherKernel->addArg(); // whether to move beads close to the origin
    for (int k = 0; k < 4; k++)
        gatherKernel->addArg(); // box
    gatherKernel->addArg(beadPositions);
    gatherKernel->addArg(); // where the model reads positions
    gatherKernel->addArg(numBeads);

    scatterKernel = program->createKernel("scatterForces");
    scatterKernel->addArg(particleSlots);
    scatterKernel->addArg(particleStart);
    scatterKernel->addArg(particleBeads);
    scatterKernel->addArg(particleWeights);
    scatterKernel->addArg(numMapped);
    scatterKernel->addArg(); // where the model writes forces
    scatterKernel->addArg(cc.getLongForceBuffer());
    scatterKernel->addArg(cc.getPaddedNumAtoms());
    if (listState != nullptr)
        scatterKernel->addArg(*listState);
}

void CommonBeadMap::setBeads(const BeadSet& beads) {
    BeadMap map(cc.getNumAtoms(), beads.particles, beads.weights);
    const BeadMap::Rows &toBeads = map.getBeadRows(), &toParticles = map.getParticleRows();
    particles = toBeads.column;
    referencePlaces.clear();
    for (int reference : findReferenceBeads(beads.topology, periodic))
        referencePlaces.push_back(toBeads.start[reference]);
    mappedParticles = map.getMappedParticles();
    numMapped = static_cast<int>(mappedParticles.size());
    uploadTo(beadStart, cc, toBeads.start, "cgBeadStart");
    uploadMixed(beadWeights, cc, toBeads.weight, "cgBeadWeights");
    uploadTo(particleStart, cc, toParticles.start, "cgParticleStart");
    uploadTo(particleBeads, cc, toParticles.column, "cgParticleBeads");
    uploadMixed(particleWeights, cc, toParticles.weight, "cgParticleWeights");
    if (scatterKernel)
        scatterKernel->setArg(4, numMapped);
    slots.clear();
    followOrder();
}

/**
 * Bring the device's slots and box offsets up to date. Whoever moves particles does not always tell, as when a barostat
 * takes back a step, so this compares all of them.
 */
void CommonBeadMap::followOrder() {
    const vector<int>& order = cc.getAtomIndex();
    const vector<mm_int4>& offsets = cc.getPosCellOffsets();
    auto isCurrent = [&](size_t k) {
        const mm_int4& known = slots[k];
        const mm_int4& offset = offsets[known.x];
        return order[known.x] == particles[k] && known.y == offset.x && known.z == offset.y && known.w == offset.z;
    };
    bool current = slots.size() == particles.size();
    for (size_t k = 0; current && k < particles.size(); k++)
        current = isCurrent(k);
    if (current)
        return;
    slotOfParticle.resize(order.size());
    for (size_t slot = 0; slot < order.size(); slot++)
        slotOfParticle[order[slot]] = static_cast<int>(slot);
    slots.resize(particles.size());
    for (size_t k = 0; k < particles.size(); k++) {
        int slot = slotOfParticle[particles[k]];
        slots[k] = mm_int4(slot, offsets[slot].x, offsets[slot].y, offsets[slot].z);
    }
    uploadTo(beadParticles, cc, slots, "cgBeadParticles");
    vector<mm_int4> referenceSlots;
    for (int place : referencePlaces)
        referenceSlots.push_back(slots[place]);
    uploadTo(references, cc, referenceSlots, "cgReferences");
    vector<int> rows;
    for (int particle : mappedParticles)
        rows.push_back(slotOfParticle[particle]);
    uploadTo(particleSlots, cc, rows, "cgParticleSlots");
}

void CommonBeadMap::gather(const DeviceBuffer& positions, bool nearOrigin) {
    followOrder();
    int arg = cc.getUseMixedPrecision() ? 6 : 5;
    gatherKernel->setArg(arg, nearOrigin ? 1 : 0);
    setBoxArgs(cc, gatherKernel, arg + 1, currentBox(cc, true));
    positions.setArg(gatherKernel, arg + 6);
    gatherKernel->execute(numBeads);
}

vector<double> CommonBeadMap::download() {
    vector<mm_double4> beads;
    beadPositions.download(beads, true);
    vector<double> positions;
    for (const mm_double4& bead : beads)
        positions.insert(positions.end(), {bead.x, bead.y, bead.z});
    return positions;
}

void CommonBeadMap::scatter(const DeviceBuffer& forces) {
    forces.setArg(scatterKernel, 5);
    scatterKernel->execute(numMapped);
}
