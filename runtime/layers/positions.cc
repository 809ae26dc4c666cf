#include "runtime/layers/positions.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace octet {
namespace {

Tensor to_device(const ModelContext& context, const Tensor& host) {
  const Tensor device = context.backend.allocate(host.dtype(), host.shape());
  context.backend.upload(host, device);
  context.held_bytes += context.backend.allocated_bytes(device.bytes());
  return device;
}

// Long wavelengths are stretched, short ones kept, those between blended: Llama 3's scaling.
double llama3_frequency(double frequency, const RopeScaling& scaling) {
  const double turns =
      frequency * scaling.original_max_position_embeddings / (2 * std::numbers::pi);
  if (turns > scaling.high_freq_factor) return frequency;
  if (turns < scaling.low_freq_factor) return frequency / scaling.factor;
  const double share =
      (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - share) * frequency / scaling.factor + share * frequency;
}

double frequency_of_pair(const ModelArgs& args, int i) {
  const double plain = std::pow(args.rope_theta, -2.0 * i / args.rotary_dim);
  switch (args.rope_scaling.kind) {
    case RopeScaling::Kind::kNone:
      break;
    case RopeScaling::Kind::kLinear:
      return plain / args.rope_scaling.factor;
    case RopeScaling::Kind::kLlama3:
      return llama3_frequency(plain, args.rope_scaling);
  }
  return plain;
}

Tensor rope_table(const ModelContext& context) {
  const ModelArgs& args = context.args;
  const int half = args.rotary_dim / 2;
  const Tensor table = Tensor::host(DType::kF32, {context.max_model_len, args.rotary_dim});
  for (int i = 0; i < half; ++i) {
    const double frequency = frequency_of_pair(args, i);
    for (int p = 0; p < context.max_model_len; ++p) {
      float* row = table.data<float>() + int64_t{p} * args.rotary_dim;
      row[i] = static_cast<float>(std::cos(p * frequency));
      row[half + i] = static_cast<float>(std::sin(p * frequency));
    }
  }
  return to_device(context, table);
}

double alibi_slope(int head, int num_heads) {
  const int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(num_heads)));
  if (head < power) return std::exp2(-8.0 / power * (head + 1));
  return std::exp2(-4.0 / power * (2 * (head - power) + 1));
}

Tensor alibi_slopes(const ModelContext& context) {
  const HeadRange heads = context.partition.heads(context.rank, context.size);
  const Tensor slopes = Tensor::host(DType::kF32, {heads.num_q()});
  for (int i = 0; i < heads.num_q(); ++i) {
    slopes.data<float>()[i] =
        static_cast<float>(alibi_slope(heads.q_begin + i, context.args.num_attention_heads) *
                           context.args.alibi_scale);
  }
  return to_device(context, slopes);
}

}  // namespace

Positions make_positions(const ModelContext& context) {
  const ModelArgs& args = context.args;
  Positions positions;
  if (args.rotary_dim > 0) {
    positions.style = args.rope_interleaved ? RopeStyle::kInterleaved : RopeStyle::kHalf;
    positions.cos_sin = rope_table(context);
  }
  if (args.alibi) positions.alibi_slopes = alibi_slopes(context);
  return positions;
}

}  // namespace octet
