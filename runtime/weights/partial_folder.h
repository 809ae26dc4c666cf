// PartialFolder: OUT.partial, the place where an artefact grows, and its journal of what is
// finished.
//
// One process at a time (a lock on the folder, gone with its process). The journal's first line
// says what job the folder belongs to; each further line is one finished tensor. A line that was
// cut off counts for nothing. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/formats/file.h"

namespace octet {

class PartialFolder {
 public:
  using Hashes = std::map<std::string, std::vector<uint64_t>>;  // stored tensor -> its parts'

  // Takes up the folder that another run of the same job left; empties one of another job. Throws
  // InputError: OUT exists, another process is at work, or OUT.partial is there and no journal is
  // in it.
  PartialFolder(const std::filesystem::path& out, const std::string& job);
  ~PartialFolder();
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const std::filesystem::path& path() const { return partial_; }
  bool resumed() const { return resumed_; }
  const Hashes* finished(const std::string& tensor) const;  // nullptr: not in the journal
  void finish(const std::string& tensor, const Hashes& hashes);

  void publish();  // OUT.partial becomes OUT. REQUIRES: the files in it are synced.

 private:
  void lock();
  bool read_journal(const std::string& job);
  void empty() const;

  std::filesystem::path out_, partial_;
  int lock_ = -1;
  bool resumed_ = false;
  std::map<std::string, Hashes> finished_;
  std::unique_ptr<OutputFile> journal_;
  uint64_t journal_bytes_ = 0;
};

}  // namespace octet
