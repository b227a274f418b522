#ifndef OPENMMCG_ENGINE_DEVICEMODEL_H_
#define OPENMMCG_ENGINE_DEVICEMODEL_H_

#include "CapturedGraph.h"
#include "openmmcg/engine/ModelRunner.h"
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace OpenMMCG {

/**
 * Whether and how the work of a model is recorded and repeated, rather than asked for anew every time.
 */
struct GraphOptions {
    /** "auto", "on" or "off". */
    std::string mode = "auto";
    /** What records; empty if nothing can. */
    GraphCapture capture;
    /** Why nothing can. */
    std::string obstacle;
};

/**
 * Where the arrays of a DeviceModel are. Their types and shapes are those of the contract of forward, real numbers
 * having the type of the model.
 */
struct DeviceAddresses {
    void *positions, *pairs, *shifts, *edgeTypes, *forces;
};

/**
 * A TorchScript model whose inputs and outputs stay in memory of PyTorch's on a device, at addresses that do not change
 * until allocate() is called. Others write the inputs and read the forces there.
 *
 * All work is put into one stream of PyTorch's, and nothing waits for it except where values are asked for. For devices
 * of CUDA, the primary context must be current in all calls.
 *
 * Where work can be recorded, the first evaluations are done as usual, since libraries prepare themselves then; the
 * next is recorded, and from then on repeated.
 */
class DeviceModel {
public:
    virtual ~DeviceModel() = default;
    /**
     * @param device  as PyTorch names it, such as "cuda:0"
     * @param types   the type of every bead
     * @throws ModelError if the model cannot be loaded, or `graphs` asks for what cannot be
     */
    static std::unique_ptr<DeviceModel> create(const ModelFile& file, const RunnerOptions& options,
                                               const std::vector<int64_t>& types, const std::string& device,
                                               const GraphOptions& graphs);
    /** Why PyTorch cannot use a device of CUDA, or nothing if it can. */
    static std::string findCudaObstacle(int deviceIndex);
    /** The native handle of the stream, such as a CUstream; null on CPUs. */
    virtual void* getStream() const = 0;
    /**
     * Make room for pairs. When this returns, the stream is idle, and all memory may be written to. Earlier addresses
     * of pairs are not valid any more.
     *
     * @param capacity  the number of pairs to make room for
     */
    virtual DeviceAddresses allocate(int capacity) = 0;
    /** Set the types of the beads. */
    virtual void setTypes(const std::vector<int64_t>& types) = 0;
    /**
     * Ask the device to evaluate the model on what is in its memory.
     *
     * @throws ModelError if the model fails
     */
    virtual void evaluate(const std::vector<double>& parameters, const Box& box) = 0;
    /** Wait for the energy of the last evaluation, in kJ/mol, or what is not a number if a force is not one. */
    virtual double getEnergy() = 0;
    /** Wait for everything of the last evaluation. */
    virtual ModelOutput getOutput() = 0;
    /** Wait for the derivative of the energy with respect to each parameter. */
    virtual std::vector<double> getParameterDerivatives() = 0;
    /** The number of evaluations, whether work is repeated from a recording ("cuda_graphs"), and why. */
    virtual std::map<std::string, std::string> getInfo() const = 0;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_DEVICEMODEL_H_*/
