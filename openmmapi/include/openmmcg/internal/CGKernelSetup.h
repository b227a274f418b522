#ifndef OPENMMCG_CGKERNELSETUP_H_
#define OPENMMCG_CGKERNELSETUP_H_

#include "openmm/OpenMMException.h"
#include "openmm/internal/ContextImpl.h"
#include "openmmcg/CGForce.h"
#include "openmmcg/engine/HostEvaluator.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * What every platform's kernel needs to know of a CGForce and of the System it acts on.
 */
struct CGKernelSetup {
    CGKernelSetup() = default;
    /**
     * @param context          the Context that is being created
     * @param force            the Force
     * @param doublePrecision  whether the platform computes in double precision unless the Force says otherwise
     * @param platformThreads  how many CPU threads the platform uses
     * @throws OpenMMException if the cutoff does not fit into the default periodic box, or if no runner knows the model
     */
    CGKernelSetup(OpenMM::ContextImpl& context, const CGForce& force, bool doublePrecision, int platformThreads);
    /** Create what evaluates the model on the host. */
    std::unique_ptr<HostEvaluator> createHostEvaluator(const CGForce& force) const;
    /** The values of the model's parameters in a Context. */
    std::vector<double> getParameters(OpenMM::ContextImpl& context) const;
    /** Add derivatives of the energy with respect to all parameters to those that the Context asks for. */
    void addDerivatives(const std::vector<double>& values, std::map<std::string, double>& derivatives) const;
    /** The entries of CGForce::getContextInfo() that do not change. */
    std::map<std::string, std::string> getInfo() const;

    int numParticles = 0;
    BeadSet beads;
    std::vector<std::string> typeNames;
    bool periodic = false;
    double cutoff = 0, skin = 0;
    ModelFile::Interface interface = ModelFile::Pairs;
    std::vector<std::string> parameterNames;
    /** Which of the parameters the Force wants derivatives for. */
    std::vector<size_t> derivativeIndices;
    RunnerOptions options;
    std::string runnerName, runnerReason;
};

/** OpenMM's box vectors, as the engine takes them. */
Box toBox(const OpenMM::Vec3 vectors[3], bool periodic);

/** The beads of a Force, as the engine takes them. */
BeadSet collectBeads(const CGForce& force);

/** Pairs of particles that belong to one molecule, since they share a bead or their beads are bonded. */
std::vector<std::pair<int, int>> findBondedParticles(const BeadSet& beads);

/** Throw an OpenMMException unless a Force has the number of beads that a Context was created with. */
void checkNumBeads(const CGForce& force, int expected);

/** Call a function of the engine, turning its errors into OpenMM's. */
template <class Function>
decltype(auto) withOpenMMErrors(Function function) {
    try {
        return function();
    }
    catch (const ModelError& error) {
        throw OpenMM::OpenMMException(std::string("CGForce: ") + error.what());
    }
}

/** The entries of CGForce::getContextInfo() that count and time evaluations on the host. */
void addHostInfo(const HostEvaluator& evaluator, std::map<std::string, std::string>& info);

} // namespace OpenMMCG

#endif /*OPENMMCG_CGKERNELSETUP_H_*/
