// How far a stage of a layer is from the reference's, as a whole and in its worst channel, and
// whether that is more than int8 explains.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/layers/probe.h"

namespace octet {

// One stage of one layer on one rank: sqrt(sum (tested - reference)^2 / sum reference^2) over all
// prompts. kResidual of layer i is the output of layer i - 1, of layer 0 the embedding.
struct StageError {
  int layer = 0;
  Stage stage = Stage::kResidual;
  int rank = 0;
  double error = 0;
  double channel_error = 0;  // the same of one channel, tokens by their noise: the worst that is
                             // not noise
  int channel = -1;          // that channel, of the rank's; -1: all are noise
  double usual = 0;          // the median of this stage's errors, over layers and ranks; kResidual
                             // has none, since its errors are over all that went before
};

// "the embedding", "layer 3, MLP output, rank 1".
std::string place_of(const StageError& error, int num_layers);

// What is out of tolerance: the whole; a channel, which may have three times the tolerance (a row
// that lost its scale has ten times); or a layer beside the others. Empty: nothing.
std::string fault_of(const StageError& error, double tolerance);

// The layer that the error is of; -1: the embedding.
int layer_of(const StageError& error);

// Tokens from which on a row of a matrix that was lost or doubled is found wherever its channel
// says something. With fewer, noise hides more of them; with fewer than the second, all.
inline constexpr int kEnoughTokens = 64, kFewestTokens = 8;

// Sums of squares. One thread.
class StageSquares {
 public:
  // [n, width] each, a row a token; the same width every time.
  void add(std::span<const float> tested, std::span<const float> reference, size_t width);

  // Sets error, channel_error and channel.
  void judge(StageError& error) const;

 private:
  struct Squares {
    double difference = 0, reference = 0;
    void add(float tested_value, float reference_value, double weight = 1) {
      const double off = tested_value - reference_value;
      difference += off * off * weight;
      reference += double{reference_value} * reference_value * weight;
    }
  };
  void add_token(std::span<const float> tested, std::span<const float> reference);

  Squares all_;
  std::vector<Squares> channels_;  // [width], each token's by its mean square difference
  int64_t tokens_ = 0;
};

// Sets `usual`.
void compare_layers(std::vector<StageError>& errors);

}  // namespace octet
