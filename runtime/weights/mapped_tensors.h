// MappedTensors: an artefact's tensors where they lie in its files, without a copy, for back ends
// that compute in the host's memory. What is mapped is shared by all ranks and replicas of a host.
//
// The files must not be written to while they are mapped: one that is cut short ends the process
// (file_mapping.h). A mapping lives as long as the tensors that lie in it. Any thread, after
// add_*(). Errors: InputError.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/weight_blocks.h"
#include "runtime/formats/tensor_file.h"
#include "runtime/weights/artefact_manifest.h"
#include "runtime/weights/checks.h"
#include "runtime/weights/partition.h"

namespace octet {

class MappedTensors {
 public:
  // `entry` of `file` is, in parts with hashes, `tensor`. REQUIRES: they agree. Borrows all three.
  void add_tensor(const std::string& name, const TensorFile& file, const TensorEntry& entry,
                  const ArtefactTensor& tensor);
  // The same weight in blocks of this layout, with the weight's own rows, and its columns cut at
  // `column_cuts`.
  void add_blocks(const std::string& name, const TensorFile& file, const TensorEntry& entry,
                  const ArtefactTensor& tensor, int64_t rows, std::vector<int64_t> column_cuts);

  // A slice of axis 0, and whether it can be had: whole parts, aligned. `checks` receives what must
  // hold of them: their checksums, and that floats are finite; these throw as Checkpoint::read().
  bool has_rows(std::string_view name, const TensorSlice& slice) const;
  Tensor rows(std::string_view name, const TensorSlice& slice, Checks& checks) const;

  // Likewise in blocks, for products whose columns are cut at column_cuts. REQUIRES of blocks():
  // has_blocks() of the same.
  bool has_blocks(std::string_view name, const TensorSlice& slice,
                  const std::vector<int64_t>& column_cuts) const;
  BlockRows blocks(std::string_view name, const TensorSlice& slice, Checks& checks) const;

  // All blocks of the weight `name`, if it has any, are those of `weight`, and as octet.json says.
  void check_blocks(std::string_view name, const Tensor& weight) const;

  uint64_t bytes() const { return bytes_; }  // of what was asked for so far

 private:
  struct Mapped {
    std::string name;
    const TensorFile* file;
    const TensorEntry* entry;
    const ArtefactTensor* tensor;
    int64_t rows = 0;  // of the weight
    std::vector<int64_t> column_cuts;
  };
  using ByName = std::map<std::string, Mapped, std::less<>>;

  static std::optional<PartRange> parts_of_blocks(const Mapped& mapped, const TensorSlice& slice);
  std::shared_ptr<const std::byte> data(const Mapped& mapped) const;
  void add_checks(const Mapped& mapped, const PartRange& parts,
                  const std::shared_ptr<const std::byte>& data, Checks& checks) const;

  ByName tensors_, blocks_;
  mutable std::mutex mutex_;
  mutable std::map<const TensorFile*, std::shared_ptr<const std::byte>> files_;  // as they are used
  mutable std::atomic<uint64_t> bytes_{0};
};

}  // namespace octet
