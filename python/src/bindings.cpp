// Python's door to the C++ library. Objects cross it as addresses: OpenMM's Python objects are SWIG proxies, whose
// `this` is the address of the C++ object, and openmmcg.CGForce keeps such a proxy.

#include "openmm/Context.h"
#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmmcg/CGForce.h"
#include "openmmcg/engine/ModelRunner.h"
#include "openmmcg/engine/PairList.h"
#include <optional>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;
using namespace OpenMMCG;
using namespace std;

namespace {

OpenMM::Force* forceAt(size_t address) {
    return reinterpret_cast<OpenMM::Force*>(address);
}

CGForce& cgForceAt(size_t address) {
    auto* force = dynamic_cast<CGForce*>(forceAt(address));
    if (force == nullptr)
        throw py::type_error("This Force is not a CGForce.");
    return *force;
}

OpenMM::Context& contextAt(size_t address) {
    return *reinterpret_cast<OpenMM::Context*>(address);
}

/** Call a query that may evaluate the model, with Python's lock released. */
template <class Query>
auto withoutLock(Query query) {
    py::gil_scoped_release release;
    return query();
}

py::array_t<double> toArray(const vector<OpenMM::Vec3>& values) {
    py::array_t<double> array({static_cast<py::ssize_t>(values.size()), py::ssize_t(3)});
    auto view = array.mutable_unchecked<2>();
    for (size_t i = 0; i < values.size(); i++)
        for (int k = 0; k < 3; k++)
            view(static_cast<py::ssize_t>(i), k) = values[i][k];
    return array;
}

py::array_t<double> toArray(const vector<double>& values) {
    return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

ModelFile modelFromBytes(const py::bytes& bytes) {
    return ModelFile(string(bytes), "The model");
}

using DoubleArray = py::array_t<double, py::array::c_style | py::array::forcecast>;

Box boxFromArray(const DoubleArray& vectors) {
    Box box;
    box.periodic = true;
    auto view = vectors.unchecked<2>();
    for (int k = 0; k < 3; k++) {
        box.a[k] = view(0, k);
        box.b[k] = view(1, k);
        box.c[k] = view(2, k);
    }
    return box;
}

py::tuple findPairs(PairList& list, const DoubleArray& positions, const optional<DoubleArray>& vectors) {
    const PairBatch& batch = list.update(positions.data(), vectors ? boxFromArray(*vectors) : Box());
    auto size = static_cast<py::ssize_t>(batch.size);
    return py::make_tuple(py::array_t<int64_t>({py::ssize_t(2), size}, batch.indices.data()),
                          py::array_t<double>({size, py::ssize_t(3)}, batch.shifts.data()),
                          py::array_t<int64_t>(size, batch.edgeTypes.data()), batch.numPairs);
}

} // namespace

PYBIND11_MODULE(_openmmcg, m) {
    m.doc() = "C++ part of OpenMM-CG. Use openmmcg.CGForce.";

    py::object exception = py::module_::import("openmm").attr("OpenMMException");
    static PyObject* openmmException = exception.release().ptr();
    py::register_exception_translator([](exception_ptr error) {
        try {
            if (error)
                rethrow_exception(error);
        }
        catch (const OpenMM::OpenMMException& e) {
            PyErr_SetString(openmmException, e.what());
        }
        catch (const ModelError& e) {
            PyErr_SetString(openmmException, e.what());
        }
    });

    m.def("runners", &ModelRunner::getAvailable);
    m.def("is_cgforce", [](size_t address) { return dynamic_cast<CGForce*>(forceAt(address)) != nullptr; });
    m.def("temperature_parameter", &CGForce::Temperature);

    m.def("set_model_file",
          [](size_t force, const string& path) { cgForceAt(force).setModel(ModelFile::fromFile(path)); });
    m.def("set_model_bytes",
          [](size_t force, const py::bytes& bytes) { cgForceAt(force).setModel(modelFromBytes(bytes)); });
    m.def("model_bytes", [](size_t force) { return py::bytes(cgForceAt(force).getModel().getBytes()); });
    m.def("model_card", [](size_t force) { return cgForceAt(force).getModel().getCard(); });
    m.def("bead_types", [](size_t force) { return cgForceAt(force).getModel().getBeadTypes(); });

    py::class_<PairList>(m, "PairList")
        .def(py::init([](const vector<int>& molecules, const vector<int>& replicas, const vector<pair<int, int>>& bonds,
                         double cutoff, double skin, int padding) {
            return make_unique<PairList>(BeadTopology{molecules, replicas, bonds}, cutoff, skin, padding);
        }))
        .def("update", &findPairs)
        .def("num_rebuilds", &PairList::getNumRebuilds);

    m.def("num_beads", [](size_t force) { return cgForceAt(force).getNumBeads(); });
    m.def("add_bead",
          [](size_t force, const vector<int>& particles, const vector<double>& weights, int type, int molecule,
             int replica) { return cgForceAt(force).addBead(particles, weights, type, molecule, replica); });
    m.def("set_bead", [](size_t force, int index, const vector<int>& particles, const vector<double>& weights, int type,
                         int molecule, int replica) {
        cgForceAt(force).setBeadParameters(index, particles, weights, type, molecule, replica);
    });
    m.def("get_bead", [](size_t force, int index) {
        vector<int> particles;
        vector<double> weights;
        int type, molecule, replica;
        cgForceAt(force).getBeadParameters(index, particles, weights, type, molecule, replica);
        return py::make_tuple(particles, weights, type, molecule, replica);
    });
    m.def("num_bonds", [](size_t force) { return cgForceAt(force).getNumBonds(); });
    m.def("add_bond", [](size_t force, int bead1, int bead2) { return cgForceAt(force).addBond(bead1, bead2); });
    m.def("get_bond", [](size_t force, int index) {
        int bead1, bead2;
        cgForceAt(force).getBondParameters(index, bead1, bead2);
        return py::make_tuple(bead1, bead2);
    });
    m.def("set_periodic",
          [](size_t force, bool periodic) { cgForceAt(force).setUsesPeriodicBoundaryConditions(periodic); });

    m.def("global_parameters", [](size_t force) {
        CGForce& cgForce = cgForceAt(force);
        vector<pair<string, double>> parameters;
        for (int i = 0; i < cgForce.getNumGlobalParameters(); i++)
            parameters.push_back({cgForce.getGlobalParameterName(i), cgForce.getGlobalParameterDefaultValue(i)});
        return parameters;
    });
    m.def("set_global_parameter_default",
          [](size_t force, int index, double value) { cgForceAt(force).setGlobalParameterDefaultValue(index, value); });
    m.def("add_derivative",
          [](size_t force, const string& name) { cgForceAt(force).addEnergyParameterDerivative(name); });
    m.def("derivatives", [](size_t force) {
        CGForce& cgForce = cgForceAt(force);
        vector<string> names;
        for (int i = 0; i < cgForce.getNumEnergyParameterDerivatives(); i++)
            names.push_back(cgForce.getEnergyParameterDerivativeName(i));
        return names;
    });
    m.def("set_property",
          [](size_t force, const string& name, const string& value) { cgForceAt(force).setProperty(name, value); });
    m.def("get_property", [](size_t force, const string& name) { return cgForceAt(force).getProperty(name); });

    m.def("update_parameters", [](size_t force, size_t context) {
        withoutLock([&] {
            cgForceAt(force).updateParametersInContext(contextAt(context));
            return true;
        });
    });
    m.def("bead_positions", [](size_t force, size_t context) {
        return toArray(withoutLock([&] { return cgForceAt(force).getBeadPositions(contextAt(context)); }));
    });
    m.def("bead_forces", [](size_t force, size_t context) {
        return toArray(withoutLock([&] { return cgForceAt(force).getBeadForces(contextAt(context)); }));
    });
    m.def("bead_energies", [](size_t force, size_t context) {
        return toArray(withoutLock([&] { return cgForceAt(force).getBeadEnergies(contextAt(context)); }));
    });
    m.def("replica_energies", [](size_t force, size_t context) {
        return toArray(withoutLock([&] { return cgForceAt(force).getReplicaEnergies(contextAt(context)); }));
    });
    m.def("context_info",
          [](size_t force, size_t context) { return cgForceAt(force).getContextInfo(contextAt(context)); });
}
