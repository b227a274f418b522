#include "ZipArchive.h"
#include "openmmcg/engine/ModelFile.h"

using namespace OpenMMCG;
using namespace std;

// Record signatures and sizes are those of PKWARE's APPNOTE, sections 4.3 and 4.5.
static const uint64_t LOCAL_HEADER = 0x04034b50, CENTRAL_HEADER = 0x02014b50, END_RECORD = 0x06054b50,
                      END_RECORD_64 = 0x06064b50, LOCATOR_64 = 0x07064b50;
static const size_t END_RECORD_SIZE = 22, LOCATOR_64_SIZE = 20;
static const uint64_t IN_ZIP64_FIELD = 0xffffffff;

ZipArchive::ZipArchive(const string& bytes, const string& source) : bytes(bytes), source(source) {
    if (bytes.size() < 4 || read(0, 4) != LOCAL_HEADER)
        throw ModelError(source + " is not a TorchScript archive (it does not start like a zip file). Write model " +
                         "files with openmmcg.export.save() or torch.jit.save().");

    // The end record is the last thing in the file, but for a comment of up to 64 KiB.

    size_t lowest = bytes.size() > 65535 + END_RECORD_SIZE ? bytes.size() - 65535 - END_RECORD_SIZE : 0;
    for (size_t offset = bytes.size(); offset-- > lowest;)
        if (offset + END_RECORD_SIZE <= bytes.size() && read(offset, 4) == END_RECORD) {
            readDirectory(offset);
            return;
        }
    failTruncated();
}

void ZipArchive::failTruncated() const {
    throw ModelError(source + " is truncated or damaged: its zip directory is missing or points outside the file (" +
                     to_string(bytes.size()) + " bytes). Copy or export the model again.");
}

uint64_t ZipArchive::read(size_t offset, int numBytes) const {
    if (offset > bytes.size() || bytes.size() - offset < static_cast<size_t>(numBytes))
        failTruncated();
    uint64_t value = 0;
    for (int i = numBytes - 1; i >= 0; i--)
        value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
    return value;
}

void ZipArchive::readDirectory(size_t endRecord) {
    uint64_t count = read(endRecord + 10, 2), position = read(endRecord + 16, 4);
    if (endRecord >= LOCATOR_64_SIZE && read(endRecord - LOCATOR_64_SIZE, 4) == LOCATOR_64) {
        size_t end64 = read(endRecord - LOCATOR_64_SIZE + 8, 8);
        if (read(end64, 4) != END_RECORD_64)
            failTruncated();
        count = read(end64 + 32, 8);
        position = read(end64 + 48, 8);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (read(position, 4) != CENTRAL_HEADER)
            failTruncated();
        uint64_t method = read(position + 10, 2), size = read(position + 20, 4), fullSize = read(position + 24, 4);
        uint64_t nameLength = read(position + 28, 2);
        uint64_t extraLength = read(position + 30, 2), commentLength = read(position + 32, 2);
        uint64_t header = read(position + 42, 4);
        read(position + 46 + nameLength + extraLength, 0);
        string name = bytes.substr(position + 46, nameLength);

        // Sizes and offsets that do not fit are in the zip64 field: uncompressed, compressed, offset.

        size_t field = position + 46 + nameLength, fieldsEnd = field + extraLength;
        while (field + 4 <= fieldsEnd) {
            if (read(field, 2) == 1) {
                size_t value = field + 4;
                if (fullSize == IN_ZIP64_FIELD)
                    value += 8;
                if (size == IN_ZIP64_FIELD) {
                    size = read(value, 8);
                    value += 8;
                }
                if (header == IN_ZIP64_FIELD)
                    header = read(value, 8);
            }
            field += 4 + read(field + 2, 2);
        }
        if (read(header, 4) != LOCAL_HEADER)
            failTruncated();
        uint64_t data = header + 30 + read(header + 26, 2) + read(header + 28, 2);
        if (data > bytes.size() || bytes.size() - data < size)
            failTruncated();
        entries[name.substr(name.find('/') + 1)] = {bytes.data() + data, size, method != 0};
        position += 46 + nameLength + extraLength + commentLength;
    }
}
