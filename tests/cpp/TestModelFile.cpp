// Reading model files: stored old files, and files that are damaged.

#include "openmm/internal/AssertionUtilities.h"
#include "openmmcg/engine/ModelFile.h"
#include "openmmcg/engine/Sha256.h"
#include <iostream>

using namespace OpenMM;
using namespace OpenMMCG;
using namespace std;

static string digest(const string& text, size_t chunk) {
    Sha256 sha;
    for (size_t i = 0; i < text.size(); i += chunk)
        sha.update(text.substr(i, chunk));
    return sha.finish();
}

/** Vectors of FIPS 180-4, and independence of how the input is cut. */
static void testSha256() {
    ASSERT_EQUAL(string("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), digest("abc", 1));
    ASSERT_EQUAL(string("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), digest("", 1));
    ASSERT_EQUAL(string("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
                 digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56));
    ASSERT_EQUAL(string("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
                 digest(string(1000000, 'a'), 977));
}

static void testStoredFiles() {
    ModelFile pairs = ModelFile::fromFile(string(TEST_DATA) + "/pairs-v1.cg.pt");
    ASSERT_EQUAL(ModelFile::Pairs, pairs.getInterface());
    ASSERT_EQUAL_TOL(0.6, pairs.getCutoff(), 1e-12);
    ASSERT_EQUAL(3, pairs.getBeadTypes().size());
    ASSERT_EQUAL(string("B"), pairs.getBeadTypes()[1]);
    ASSERT_EQUAL(2, pairs.getParameters().size());
    ASSERT_EQUAL(string("CGTemperature"), pairs.getParameters()[0].first);
    ASSERT_EQUAL_TOL(300.0, pairs.getParameters()[0].second, 1e-12);
    ASSERT_EQUAL_TOL(0.25, pairs.getParameters()[1].second, 1e-12);
    ModelFile positions = ModelFile::fromFile(string(TEST_DATA) + "/positions-v1.cg.pt");
    ASSERT_EQUAL(ModelFile::Positions, positions.getInterface());
}

static void assertFails(const string& bytes, const string& expected) {
    string message;
    try {
        ModelFile file(bytes, "The file");
    }
    catch (const ModelError& error) {
        message = error.what();
    }
    if (message.find(expected) == string::npos)
        throwException(__FILE__, __LINE__, "Expected an error with '" + expected + "', found '" + message + "'");
}

static string replaced(string text, const string& from, const string& to) {
    size_t at = text.find(from);
    ASSERT(at != string::npos && from.size() == to.size());
    return text.replace(at, from.size(), to);
}

static void testDamage() {
    string good = ModelFile::fromFile(string(TEST_DATA) + "/pairs-v1.cg.pt").getBytes();
    assertFails("", "not a TorchScript archive");
    assertFails("import torch", "not a TorchScript archive");
    assertFails(replaced(good, "\"format_version\": 1", "\"format_version\": 9"), "format version 9");
    assertFails(replaced(good, "\"pairs\"", "\"trios\""), "interface 'trios'");
    assertFails(replaced(good, "\"cutoff\": 0.6", "\"cutoff\": -.6"), "cannot be read");
    assertFails(replaced(good, "\"cutoff\": 0.6", "\"cutoff\": -6 "), "cutoff -6");

    // Whatever is cut off or overwritten: an error, never a crash and never a wrong model.

    for (size_t length = 0; length < good.size(); length += 97)
        assertFails(good.substr(0, length), "The file");
    int detected = 0, total = 0;
    for (size_t at = 0; at < good.size(); at += 53) {
        string damaged = good;
        damaged[at] ^= 0x55;
        total++;
        try {
            ModelFile file(damaged, "The file");
        }
        catch (const ModelError&) {
            detected++;
        }
    }
    // Padding between entries, times and checksums of the zip format, and spaces in the card do not matter.
    ASSERT(detected > total / 4);
}

int main() {
    try {
        testSha256();
        testStoredFiles();
        testDamage();
    }
    catch (const exception& e) {
        cout << "exception: " << e.what() << endl;
        return 1;
    }
    cout << "Done" << endl;
    return 0;
}
