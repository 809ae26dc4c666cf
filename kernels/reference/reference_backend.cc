#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/check.h"
#include "kernels/reference/reference_ops.h"

namespace octet {
namespace {

class ReferenceBackend : public Backend {
 public:
  std::string name() const override { return "reference"; }

  Tensor allocate(DType dtype, Shape shape) override { return Tensor::host(dtype, shape); }

  void upload(const Tensor& host, const Tensor& device) override { copy(host, device); }
  void download(const Tensor& device, const Tensor& host) override { copy(device, host); }
  void synchronize() override {}

  std::unique_ptr<PackedLinear> pack(const LinearWeight& weight) override {
    return std::make_unique<reference::Linear>(weight);
  }
  size_t reserve(int64_t) override { return 0; }

  void linear(const Tensor& x, const PackedLinear& weight, const Tensor& out) override {
    static_cast<const reference::Linear&>(weight).apply(x, out);
  }
  void embed(const Tensor& ids, const Tensor& table, int32_t first_id, const Tensor& out) override {
    reference::embed(ids, table, first_id, out);
  }
  void embed(const Tensor& ids, const PackedLinear& table, int32_t first_id,
             const Tensor& out) override {
    reference::embed(ids, static_cast<const reference::Linear&>(table).weight(), first_id, out);
  }
  void add_norm(const AddNormArgs& args) override { reference::add_norm(args); }
  void rope_store(const RopeStoreArgs& args) override { reference::rope_store(args); }
  void attention(const AttentionArgs& args) override { reference::attention(args); }
  void shortlist(const ShortlistArgs& args) override { reference::shortlist(args); }
  void gather_rows(const Tensor& x, const Tensor& rows, const Tensor& out) override {
    const int64_t h = x.dim(1);
    for (int64_t i = 0; i < rows.numel(); ++i) {
      std::copy_n(x.data<float>() + rows.data<int32_t>()[i] * h, h, out.data<float>() + i * h);
    }
  }

 private:
  static void copy(const Tensor& from, const Tensor& to) {
    OCTET_CHECK(from.bytes() == to.bytes(), "{} bytes to {}", from.bytes(), to.bytes());
    if (from.bytes() > 0) std::memcpy(to.raw_data(), from.raw_data(), from.bytes());
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace octet
