#ifndef OPENMMCG_ENGINE_ZIPARCHIVE_H_
#define OPENMMCG_ENGINE_ZIPARCHIVE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace OpenMMCG {

/**
 * The directory of a zip archive. Entries are given as they lie in the file. Refers to the bytes it was
 * made from, which must outlive it.
 */
class ZipArchive {
public:
    struct Entry {
        const char* data;
        size_t size;
        bool compressed;
    };
    /**
     * @throws ModelError if this is not a complete zip archive
     */
    ZipArchive(const std::string& bytes, const std::string& source);
    /** All entries by name, with the archive's root folder removed from the names. */
    const std::map<std::string, Entry>& getEntries() const {
        return entries;
    }

private:
    uint64_t read(size_t offset, int numBytes) const;
    void readDirectory(size_t endRecord);
    [[noreturn]] void failTruncated() const;
    const std::string& bytes;
    const std::string& source;
    std::map<std::string, Entry> entries;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_ENGINE_ZIPARCHIVE_H_*/
