// Int8Weights: the int8 weights of a folder that another program quantised, and their scales in the
// artefact's form: X.weight, I8 [out, in], with X.weight_scale, F32 [out].
//
//   bitsandbytes        X.SCB, F32 [out]: 127 x the scale; X.weight_format, which must be 0 (rows)
//   compressed-tensors  X.weight_scale, F32, F16 or BF16, [out], [out, 1] or one for all rows
//
// Borrows the folder. Errors: InputError naming the folder, the tensor and the values. Immutable
// after construction; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "runtime/formats/tensor_folder.h"
#include "runtime/weights/partition.h"
#include "runtime/weights/quantization_config.h"

namespace octet {

class Int8Weights {
 public:
  struct Scale {
    TensorPlace stored;
    int64_t rows = 0;
    float divisor = 1;
  };

  // Refused: int8 that is not a matrix X.weight with its scale, a scale without its weight, zero
  // points, other layouts.
  Int8Weights(const TensorFolder& files, QuantMethod method, std::string folder);

  // By the names they are delivered under.
  const std::map<std::string, Scale, std::less<>>& scales() const { return scales_; }

  // Tensors of the folder that are taken up in scales().
  bool absorbs(std::string_view name) const { return absorbed_.contains(name); }

  // Elements [begin, end) as F32. Throws InputError: not finite, or negative.
  void read_scale(const Scale& scale, int64_t begin, int64_t end, const Tensor& out,
                  std::atomic<uint64_t>& bytes_read) const;

 private:
  [[noreturn]] void fail(std::string_view tensor, const std::string& what) const;
  void add_weight(const TensorFolder& files, const TensorEntry& weight);
  void add_bitsandbytes(const TensorFolder& files, const TensorEntry& weight);
  void add_compressed(const TensorFolder& files, const TensorEntry& weight);
  void check_row_format(const TensorPlace& format) const;
  void check_orphan(const std::string& name) const;

  QuantMethod method_;
  std::string folder_;
  std::map<std::string, Scale, std::less<>> scales_;
  std::set<std::string, std::less<>> absorbed_;
};

}  // namespace octet
