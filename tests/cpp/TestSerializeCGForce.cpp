#include "openmm/OpenMMException.h"
#include "openmm/Platform.h"
#include "openmm/internal/AssertionUtilities.h"
#include "openmm/serialization/XmlSerializer.h"
#include "openmmcg/CGForce.h"
#include <iostream>
#include <memory>
#include <sstream>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static string serialize(const CGForce& force) {
    stringstream buffer;
    XmlSerializer::serialize<Force>(&force, "Force", buffer);
    return buffer.str();
}

static unique_ptr<CGForce> deserialize(const string& xml) {
    stringstream buffer(xml);
    return unique_ptr<CGForce>(dynamic_cast<CGForce*>(XmlSerializer::deserialize<Force>(buffer)));
}

static void makeForce(CGForce& force) {
    force.setName("custom name");
    force.setForceGroup(5);
    force.setUsesPeriodicBoundaryConditions(true);
    force.setProperty("skin", "0.25");
    force.setGlobalParameterDefaultValue(1, 0.75);
    force.addEnergyParameterDerivative("slope");
    force.addBead({0, 1, 2}, {0.1, 0.2, 0.7}, 1, 2, 0);
    force.addBead({3}, {}, 2, 2, 0);
    force.addBead({5, 4}, {1.0 / 3, 2.0 / 3}, 0, 0, 1);
    force.addBond(1, 0);
}

static void testRoundTrip() {
    CGForce force(string(TEST_DATA) + "/pairs-v1.cg.pt");
    makeForce(force);
    string xml = serialize(force);
    auto copy = deserialize(xml);
    ASSERT_EQUAL(force.getName(), copy->getName());
    ASSERT_EQUAL(force.getForceGroup(), copy->getForceGroup());
    ASSERT(copy->usesPeriodicBoundaryConditions());
    ASSERT_EQUAL(string("0.25"), copy->getProperty("skin"));
    ASSERT_EQUAL(force.getGlobalParameterDefaultValue(1), copy->getGlobalParameterDefaultValue(1));
    ASSERT_EQUAL(string("slope"), copy->getEnergyParameterDerivativeName(0));
    ASSERT(force.getModel().getBytes() == copy->getModel().getBytes());
    ASSERT_EQUAL(3, copy->getNumBeads());
    for (int i = 0; i < 3; i++) {
        vector<int> particles1, particles2;
        vector<double> weights1, weights2;
        int type1, type2, molecule1, molecule2, replica1, replica2;
        force.getBeadParameters(i, particles1, weights1, type1, molecule1, replica1);
        copy->getBeadParameters(i, particles2, weights2, type2, molecule2, replica2);
        ASSERT_EQUAL_CONTAINERS(particles1, particles2);
        ASSERT(weights1 == weights2);
        ASSERT(type1 == type2 && molecule1 == molecule2 && replica1 == replica2);
    }
    ASSERT_EQUAL(1, copy->getNumBonds());
    ASSERT_EQUAL(xml, serialize(*copy));
}

static void assertFails(const string& xml, const string& expected) {
    string message;
    try {
        deserialize(xml);
    }
    catch (const OpenMMException& error) {
        message = error.what();
    }
    if (message.find(expected) == string::npos)
        throwException(__FILE__, __LINE__, "Expected an error with '" + expected + "', found '" + message + "'");
}

static void testTampering() {
    CGForce force(string(TEST_DATA) + "/pairs-v1.cg.pt");
    makeForce(force);
    string xml = serialize(force);
    string changed = xml;
    size_t middle = changed.find("base64=\"") + 2000;
    changed[middle] = changed[middle] == 'A' ? 'B' : 'A';
    assertFails(changed, "has been changed or cut off");
    string newer = xml;
    newer.replace(newer.find("version=\"1\" name") == string::npos ? newer.rfind("version=\"1\"")
                                                                   : newer.find("version=\"1\" name"),
                  11, "version=\"2\"");
    assertFails(newer, "has version 2");
    string shortened = xml;
    size_t start = shortened.find("base64=\"") + 8;
    shortened.erase(start + 400, 4);
    assertFails(shortened, "has been changed or cut off");
}

/** The bare element that the Python layer uses. */
static void testBareElement() {
    auto force = deserialize("<Force type=\"CGForce\" version=\"1\"/>");
    ASSERT_EQUAL(0, force->getNumBeads());
    ASSERT(force->getModel().empty());
    ASSERT(deserialize(serialize(*force))->getModel().empty());
}

int main() {
    try {
        testRoundTrip();
        testTampering();
        testBareElement();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
