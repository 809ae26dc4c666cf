#include "runtime/evaluation/stage_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace octet {
namespace {

// Sound artefacts of SmolLM2 have 0.10 in a channel at worst, and 1.6 times the median in a layer.
constexpr double kChannelTolerances = 3;
constexpr double kTimesUsual = 4;
// Noise is much the same in all channels, the more so the more tokens there are; with fewer than
// kEnoughTokens its multiple grows as a mean's error does. Over a channel that says next to nothing
// it is large: one that carries so small a share of what a channel carries is not looked at.
constexpr double kTimesNoise = 5;
constexpr double kNextToNothing = 1e-4;
// Of a token's energy; int8's is 1e-4 to 2e-3.
constexpr double kLeastNoise = 1e-4;

double relative(double difference, double reference) {
  if (reference > 0) return std::sqrt(difference / reference);
  return difference == 0 ? 0 : HUGE_VAL;  // also where a value is not a number
}

// Of an even number the upper one, so that two layers are not held against each other.
double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

int layer_of(const StageError& error) {
  return error.stage == Stage::kResidual ? error.layer - 1 : error.layer;
}

std::string place_of(const StageError& error, int num_layers) {
  if (error.stage == Stage::kFinal) return "the final norm";
  if (error.stage != Stage::kResidual) {
    return fmt::format("layer {}, {}, rank {}", error.layer, stage_name(error.stage), error.rank);
  }
  if (error.layer == 0) return "the embedding";
  return fmt::format("layer {}{}", error.layer - 1,
                     error.layer == num_layers ? ", the last" : ", its output");
}

std::string fault_of(const StageError& error, double tolerance) {
  if (!(error.error <= tolerance)) return fmt::format("relative error {:.4f}", error.error);
  if (error.channel_error > kChannelTolerances * tolerance) {
    return fmt::format("relative error {:.4f} in channel {}", error.channel_error, error.channel);
  }
  if (error.stage != Stage::kResidual && error.error > tolerance / 2 &&
      error.error > kTimesUsual * error.usual) {
    return fmt::format("relative error {:.4f}, the layers' median is {:.4f}", error.error,
                       error.usual);
  }
  return "";
}

void StageSquares::add(std::span<const float> tested, std::span<const float> reference,
                       size_t width) {
  channels_.resize(width);
  for (size_t at = 0; at < tested.size(); at += width) {
    add_token(tested.subspan(at, width), reference.subspan(at, width));
  }
}

void StageSquares::add_token(std::span<const float> tested, std::span<const float> reference) {
  Squares token;
  for (size_t i = 0; i < tested.size(); ++i) token.add(tested[i], reference[i]);
  all_.difference += token.difference;
  all_.reference += token.reference;
  // The first token's stream may be ten times the others', and its noise, which would be all that
  // a channel's sum shows. One without noise must not be all of it either.
  const double noise = std::max(token.difference, kLeastNoise * token.reference) /
                       static_cast<double>(tested.size());
  if (noise == 0) return;
  ++tokens_;
  for (size_t i = 0; i < tested.size(); ++i) channels_[i].add(tested[i], reference[i], 1 / noise);
}

void StageSquares::judge(StageError& error) const {
  error.error = relative(all_.difference, all_.reference);
  if (!std::isfinite(error.error) || tokens_ < kFewestTokens) return;
  std::vector<double> differences;
  double carried = 0;
  for (const Squares& channel : channels_) {
    differences.push_back(channel.difference);
    carried += channel.reference / static_cast<double>(channels_.size());
  }
  const double times = kTimesNoise * std::max(1.0, std::sqrt(double{kEnoughTokens} / tokens_));
  const double noise = std::max(times * times * median(differences), kNextToNothing * carried);
  for (size_t i = 0; i < channels_.size(); ++i) {
    const double own = relative(channels_[i].difference, channels_[i].reference);
    if (channels_[i].difference <= noise || own <= error.channel_error) continue;
    error.channel_error = own;
    error.channel = static_cast<int>(i);
  }
}

void compare_layers(std::vector<StageError>& errors) {
  std::map<Stage, std::vector<double>> by_stage;
  for (const StageError& error : errors) {
    if (!std::isnan(error.error)) by_stage[error.stage].push_back(error.error);
  }
  for (StageError& error : errors) {
    // The stream's error is over all that went before.
    if (error.stage == Stage::kResidual || std::isnan(error.error)) continue;
    error.usual = median(by_stage[error.stage]);
  }
}

}  // namespace octet
