#include "runtime/weights/equalized_checkpoint.h"

#include <algorithm>
#include <cmath>

#include "runtime/weights/module_names.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

constexpr float kStandsOut = 8;  // times smaller than the median column
constexpr int kLargestExponent = 10;
constexpr int64_t kChunkRows = 64;

void set_element(const Tensor& tensor, int64_t i, float value) {
  if (tensor.dtype() == DType::kF32) {
    tensor.data<float>()[i] = value;
  } else {
    tensor.data<uint16_t>()[i] =
        tensor.dtype() == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// Of each column its largest share of a row's largest value.
void add_shares(const Checkpoint& source, const TensorInfo& info, std::vector<float>& shares) {
  const int64_t columns = info.shape[1];
  for (int64_t first = 0; first < info.shape[0]; first += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, info.shape[0] - first);
    const Tensor chunk = Tensor::host(info.dtype, {rows, columns});
    source.read(info.name, {.axis = 0, .begin = first, .end = first + rows}, chunk);
    for (int64_t row = 0; row < rows; ++row) {
      float absmax = 0;
      for (int64_t k = 0; k < columns; ++k) {
        absmax = std::max(absmax, std::fabs(element(chunk, row * columns + k)));
      }
      if (!(absmax > 0) || !std::isfinite(absmax)) continue;  // what is not finite is found later
      for (int64_t k = 0; k < columns; ++k) {
        const float share = std::fabs(element(chunk, row * columns + k)) / absmax;
        shares[static_cast<size_t>(k)] = std::max(shares[static_cast<size_t>(k)], share);
      }
    }
  }
}

std::vector<float> factors_of(const std::vector<float>& shares) {
  std::vector<float> sorted = shares;
  std::ranges::nth_element(sorted, sorted.begin() + std::ssize(sorted) / 2);
  const float median = sorted[sorted.size() / 2];
  std::vector<float> factors(shares.size(), 1.0f);
  for (size_t k = 0; k < shares.size(); ++k) {
    if (shares[k] <= 0 || shares[k] * kStandsOut > median) continue;
    const int exponent = static_cast<int>(std::floor(std::log2(median / shares[k])));
    factors[k] = std::ldexp(1.0f, std::min(exponent, kLargestExponent));
  }
  return factors;
}

}  // namespace

EqualizedCheckpoint::EqualizedCheckpoint(const Checkpoint& source, const ModelArgs& args)
    : source_(source), args_(args), tensors_(source.tensors()) {
  if (args.post_norm) return;  // the norm's result is the stream itself
  for (int layer = 0; layer < args.num_hidden_layers; ++layer) {
    const bool shared = args.parallel_residual && args.norms_per_block == 1;
    if (shared) {
      add_group(layer, "input_layernorm",
                {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj",
                 "mlp.up_proj"});
    } else {
      add_group(layer, "input_layernorm",
                {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"});
      add_group(layer, "post_attention_layernorm", {"mlp.gate_proj", "mlp.up_proj"});
    }
  }
}

void EqualizedCheckpoint::add_group(int layer, std::string_view norm,
                                    std::initializer_list<std::string_view> products) {
  Group group{.norm = full_name(norm, layer), .products = {}};
  for (std::string_view product : products) {
    const std::string name = full_name(product, layer) + ".weight";
    const TensorInfo* info = source_.find(name);
    if (info == nullptr) continue;
    if (!is_float(info->dtype) || info->shape.rank() != 2 || info->shape[1] != args_.hidden_size) {
      return;  // int8 already, or wrong: not this class's to say
    }
    group.products.push_back(name);
  }
  std::vector<TensorInfo*> norms;
  for (TensorInfo& info : tensors_) {
    if (info.name != group.norm + ".weight" && info.name != group.norm + ".bias") continue;
    if (!is_float(info.dtype) || !(info.shape == Shape{args_.hidden_size})) return;
    norms.push_back(&info);
  }
  if (norms.empty() || group.products.empty()) return;
  for (TensorInfo* info : norms) {
    info->dtype = DType::kF32;  // divided exactly
    group_of_[info->name] = groups_.size();
  }
  for (const std::string& name : group.products) group_of_[name] = groups_.size();
  groups_.push_back(std::move(group));
}

const std::vector<float>& EqualizedCheckpoint::factors(const Group& group) const {
  const auto found = factors_.find(group.norm);
  if (found != factors_.end()) return found->second;
  std::vector<float> shares(static_cast<size_t>(args_.hidden_size));
  for (const std::string& product : group.products) {
    add_shares(source_, *source_.find(product), shares);
  }
  return factors_[group.norm] = factors_of(shares);
}

void EqualizedCheckpoint::read(std::string_view name, const TensorSlice& slice,
                               const Tensor& out) const {
  const auto found = group_of_.find(name);
  if (found == group_of_.end()) {
    source_.read(name, slice, out);
    return;
  }
  const std::vector<float>& factors = this->factors(groups_[found->second]);
  const TensorInfo& stored = *source_.find(name);
  if (stored.shape.rank() == 1) {
    const Tensor values = Tensor::host(stored.dtype, out.shape());
    source_.read(name, slice, values);
    for (int64_t i = 0; i < out.numel(); ++i) {
      out.data<float>()[i] = element(values, i) / factors[static_cast<size_t>(slice.begin + i)];
    }
    return;
  }
  source_.read(name, slice, out);
  const int64_t columns = out.dim(1), first = slice.axis == 1 ? slice.begin : 0;
  for (int64_t k = 0; k < columns; ++k) {
    const float factor = factors[static_cast<size_t>(first + k)];
    if (factor == 1) continue;
    for (int64_t row = 0; row < out.dim(0); ++row) {
      set_element(out, row * columns + k, element(out, row * columns + k) * factor);
    }
  }
}

}  // namespace octet
