// StepCost: what one step of a model takes on one kind of machine: the bytes and operations that
// the model's own products say, at the speeds that the hardware's profile says. Where the profile
// has a table of an operation, the table is read; else the roofline: the longer of bytes over
// bandwidth and operations over their rate, each at the profile's share.
#pragma once

#include <string>
#include <vector>

#include "runtime/capacity/hardware_profile.h"
#include "runtime/engine/plan.h"
#include "runtime/models/footprint.h"

namespace octet {

// Rows of a step: sequences that get a token each, and one chunk of a prompt. Contexts: positions
// seen, mean over the rows.
struct StepShape {
  double decode_rows = 0, decode_context = 0;
  double prefill_rows = 0, prefill_context = 0;
  double sampled = 0;  // rows of logits
  double rows() const { return decode_rows + prefill_rows; }
};

// Seconds.
struct StepCost {
  double weights = 0;    // the products, head included
  double attention = 0;  // reading K and V
  double reduce = 0;
  double other = 0;  // norms, rotation, embedding, sampling, scheduling
  double total() const { return weights + attention + reduce + other; }
};

struct StepBytes {
  double weights = 0;  // read from memory in any step, on the rank with the most
  double kv_of_token = 0;
};

class StepModel {
 public:
  // The rank with the most of `size`, rank 0. kv_bytes: of one token on it, all layers. profile and
  // network (nullptr: all ranks share a node) are borrowed.
  // tail: of the inputs of the products but an MLP's second, whose is 1; see measure_linear.h.
  StepModel(const Plan& plan, const Footprint& footprint, double kv_bytes, double tail,
            const HardwareProfile& profile, const HardwareProfile* network, int size);

  StepCost cost(const StepShape& shape) const;

  // Seconds of `tokens` of one prompt, in the chunks that the options give, until its first token.
  double prefill(double tokens) const;

  // Of one layer's parts at decode, before `layer.in_place` is applied; for calibration.
  double layer(const StepShape& shape) const;
  double ends(const StepShape& shape) const;  // embedding, final norm, head, sampling

  const StepBytes& bytes() const { return bytes_; }
  // Tables that were measured at another number of ranks than asked for.
  const std::vector<std::string>& borrowed() const { return borrowed_; }

 private:
  double linear(const Product& product, double rows) const;
  double attention(double rows, double context, double prefill_rows) const;
  double reduce(double rows) const;
  double lookup(std::string_view operation, std::initializer_list<double> point) const;
  double correction(std::string_view operation, double rows, double fallback) const;
  StepCost layers(const StepShape& shape) const;

  const Plan& plan_;
  const Footprint& footprint_;
  const HardwareProfile& profile_;
  const HardwareProfile* network_;
  int size_;
  double tail_;
  HeadRange heads_;
  StepBytes bytes_;
  std::vector<std::string> borrowed_;
};

}  // namespace octet
