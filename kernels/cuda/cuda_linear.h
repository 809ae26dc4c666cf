// CudaLinear: a linear layer's weights on the device, and the product over them.
//
// int8 weights whose inputs are quantised lie as linear_call.h says; all others row by row as they
// came (kSiluGate: gates first).
#pragma once

#include <functional>
#include <memory>

#include "kernels/backend.h"
#include "kernels/cuda/device_context.h"
#include "kernels/cuda/float_linear.h"
#include "kernels/cuda/linear_call.h"
#include "kernels/cuda/linear_layout.h"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {

// Room for the quantised rows of one product and for sums that blocks share. Each product lays its
// rows out by its own padded_in. Allocated in Backend::reserve.
struct LinearScratch {
  int64_t max_rows = 0;
  Tensor low, high;   // kI8 [max_rows, widest padded_in]
  Tensor spans;       // kU8 [max_rows, span_stride(widest padded_in)]
  Tensor row_scales;  // [max_rows, most leaves]
  Tensor outliers;    // kI32 [max_rows, most leaves]
  Tensor sums;        // kI32
  Tensor arrivals;    // kI32
};

// allocate: called for each part.
LinearScratch make_scratch(const LinearNeeds& needs, int64_t max_rows,
                           const std::function<Tensor(DType, Shape)>& allocate);

class CudaLinear : public PackedLinear {
 public:
  CudaLinear(std::shared_ptr<DeviceContext> context, const LinearWeight& weight);

  const LinearLayout& layout() const { return layout_; }
  bool quantized() const { return layout_.quantized; }
  uint64_t outliers() const override;

  // What quantises rows for this product into `scratch`. REQUIRES: quantized().
  QuantizeCall quantizer(const LinearScratch& scratch, int64_t n) const;

  // ready: `scratch` holds the rows of x already.
  void apply(const LinearScratch& scratch, const Tensor& x, bool ready, const Tensor& out) const;
  const Tensor& weight() const { return weight_; }  // REQUIRES (to be rows): not quantized()
  DType dtype() const { return dtype_; }

 private:
  void pack_int8(const LinearWeight& weight);
  void apply_int8(const LinearScratch& scratch, const Tensor& x, bool ready,
                  const Tensor& out) const;
  Tensor permuted(const Tensor& values) const;  // host [rows] -> device [padded_rows]

  std::shared_ptr<DeviceContext> context_;
  DType dtype_;
  const LinearLayout layout_;
  Tensor weight_, scales_, bias_;
  Tensor total_outliers_;  // kI64 [1]
  // What stays the same from call to call.
  FloatLinearCall float_call_;
  QuantizeCall quantize_call_;
  LinearCall int8_call_;
};

}  // namespace octet::cuda
