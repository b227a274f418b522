// Evaluates a model file without any Python. The beads come from a text file:
//
//     beads N
//     TYPE X Y Z        N lines: type index, position in nm
//     bonds M
//     I J               M lines: bead indices
//
// Prints the potential energy in kJ/mol.

#include "openmm/Context.h"
#include "openmm/Platform.h"
#include "openmm/System.h"
#include "openmm/VerletIntegrator.h"
#include "openmmcg/CGForce.h"
#include <fstream>
#include <iomanip>
#include <iostream>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static void readBeads(const string& path, System& system, CGForce& force, vector<Vec3>& positions) {
    ifstream file(path);
    string keyword;
    int count = 0;
    if (!(file >> keyword >> count) || keyword != "beads")
        throw runtime_error("'" + path + "' does not start with 'beads N'.");
    for (int i = 0; i < count; i++) {
        int type;
        Vec3 position;
        if (!(file >> type >> position[0] >> position[1] >> position[2]))
            throw runtime_error("'" + path + "' ends before bead " + to_string(i) + ".");
        system.addParticle(1.0);
        force.addBead({i}, {}, type);
        positions.push_back(position);
    }
    if (!(file >> keyword >> count) || keyword != "bonds")
        throw runtime_error("'" + path + "' has no line 'bonds M' behind the beads.");
    for (int i = 0; i < count; i++) {
        int bead1, bead2;
        if (!(file >> bead1 >> bead2))
            throw runtime_error("'" + path + "' ends before bond " + to_string(i) + ".");
        force.addBond(bead1, bead2);
    }
}

int main(int argc, char** argv) {
    if (argc != 4) {
        cerr << "Usage: EvaluateModel MODEL.cg.pt BEADS.txt PLUGIN_FOLDER" << endl;
        return 2;
    }
    try {
        Platform::loadPluginsFromDirectory(argv[3]);
        System system;
        CGForce* force = new CGForce(argv[1]);
        system.addForce(force);
        vector<Vec3> positions;
        readBeads(argv[2], system, *force, positions);
        VerletIntegrator integrator(0.001);
        Context context(system, integrator, Platform::getPlatformByName("Reference"));
        context.setPositions(positions);
        cout << setprecision(12) << context.getState(State::Energy).getPotentialEnergy() << endl;
    }
    catch (const exception& error) {
        cerr << "EvaluateModel: " << error.what() << endl;
        return 1;
    }
    return 0;
}
