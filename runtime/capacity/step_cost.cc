#include "runtime/capacity/step_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "comm/reduce_plan.h"

namespace octet {
namespace {

double packed_elements(const LinearShape& shape) {
  return static_cast<double>(shape.rows) * static_cast<double>(shape.columns);
}

double weight_bytes(const LinearShape& shape) {
  const double scales = shape.has_scales() ? 4.0 * static_cast<double>(shape.rows) : 0;
  return packed_elements(shape) * static_cast<double>(dtype_size(shape.dtype)) + scales;
}

// The table that a product's times are in.
std::string_view table_of(const Product& product) {
  if (product.shape.dtype != DType::kI8) return "linear.float";
  switch (product.role) {
    case ProductRole::kAttentionOut:
    case ProductRole::kMlpOut:
      return "linear.row";
    case ProductRole::kMlpIn:
      return product.shape.activation == Activation::kSiluGate ? "linear.gated" : "linear.column";
    default:
      return "linear.column";
  }
}

}  // namespace

StepModel::StepModel(const Plan& plan, const Footprint& footprint, double kv_bytes, double tail,
                     const HardwareProfile& profile, const HardwareProfile* network, int size)
    : plan_(plan),
      footprint_(footprint),
      profile_(profile),
      network_(network),
      size_(size),
      tail_(tail),
      heads_(plan.partition.heads(0, size)) {
  bytes_.kv_of_token = kv_bytes;
  for (const Product& product : footprint.products) bytes_.weights += weight_bytes(product.shape);
  for (const ProfileTable& table : profile.tables) {
    const ProfileTable* used = profile.find(table.operation, size);
    if (used == &table && used->ranks != size && table.operation != "reduce") {
      borrowed_.push_back(fmt::format("{} measured on {} rank(s)", table.operation, used->ranks));
    }
  }
}

double StepModel::lookup(std::string_view operation, std::initializer_list<double> point) const {
  const ProfileTable* table = profile_.find(operation, size_);
  return table == nullptr ? 0 : table->grid.value(std::span(point.begin(), point.size()));
}

double StepModel::correction(std::string_view operation, double rows, double fallback) const {
  const ProfileTable* table = profile_.find(operation, size_);
  if (table == nullptr) return fallback;
  const GridAxis& axis = table->grid.axes()[0];
  const double inside = std::clamp(rows, axis.at.front(), axis.at.back());
  return table->grid.value(std::span(&inside, 1));
}

double StepModel::linear(const Product& product, double rows) const {
  const LinearShape& shape = product.shape;
  if (rows == 0 || shape.rows == 0 || shape.columns == 0) return 0;
  const bool gated = shape.activation == Activation::kSiluGate;
  const std::string_view operation = table_of(product);
  if (profile_.find(operation, size_) != nullptr) {
    const double width = shape.dtype == DType::kF32 ? 2 : 1;  // the tables are of 16-bit floats
    const auto outputs = static_cast<double>(gated ? shape.rows / 2 : shape.rows);
    const double tail = product.role == ProductRole::kMlpOut ? 1 : tail_;
    return width * lookup(operation, {rows, outputs, static_cast<double>(shape.columns), tail});
  }
  const double rate =
      shape.dtype == DType::kI8 ? profile_.fact("int8_ops") : profile_.fact("float_flops");
  const double by_bytes = weight_bytes(shape) / (profile_.fact("memory_bandwidth") *
                                                 profile_.fact_or("bandwidth_share", 1));
  const double by_ops =
      2 * rows * packed_elements(shape) / (rate * profile_.fact_or("compute_share", 1));
  return std::max(by_bytes, by_ops);
}

// One layer's. Rows of a prompt share what they read of its cache, where it is the roofline that is
// read; the tables are of rows that do not.
double StepModel::attention(double rows, double context, double prefill_rows) const {
  const double heads = heads_.num_q(), kv_heads = heads_.num_kv(), d = plan_.files.args.head_dim;
  if (rows == 0 || heads == 0) return 0;
  if (profile_.find("attention", size_) != nullptr) {
    return lookup("attention", {rows * kv_heads, context, heads / kv_heads, d});
  }
  const double layers = plan_.files.args.num_hidden_layers;
  const double readers = prefill_rows > 0 ? rows / prefill_rows : rows;
  const double by_bytes =
      readers * context * bytes_.kv_of_token / layers /
      (profile_.fact("memory_bandwidth") * profile_.fact_or("bandwidth_share", 1));
  const double by_ops = 4 * rows * context * heads * d /
                        (profile_.fact("float_flops") * profile_.fact_or("compute_share", 1));
  return std::max(by_bytes, by_ops);
}

double StepModel::reduce(double rows) const {
  if (size_ == 1 || rows == 0) return 0;
  const double values = rows * plan_.files.args.hidden_size;
  const double bytes = values * profile_.fact_or("wire_bytes", 4);
  const int inside = std::min(size_, profile_.ranks_per_node);
  double seconds = 0;
  if (inside > 1) {
    const ProfileTable* table = profile_.find("reduce", inside);
    if (table != nullptr) seconds = table->grid.value(std::span(&bytes, 1));
  }
  if (size_ > inside && network_ != nullptr) {
    const double nodes = std::ceil(static_cast<double>(size_) / inside);
    seconds += 2 * network_->fact("network_latency") * std::ceil(std::log2(nodes)) +
               2 * (nodes - 1) / nodes * bytes / network_->fact("network_bandwidth");
  }
  return seconds;
}

StepCost StepModel::layers(const StepShape& shape) const {
  const ModelArgs& args = plan_.files.args;
  StepCost cost;
  const double rows = shape.rows();
  for (const Product& product : footprint_.products) {
    if (product.layer == 0) cost.weights += linear(product, rows);
  }
  const double norms = args.norms_per_block + (args.parallel_residual ? 1 : 0);
  cost.other = norms * lookup("norm", {rows, static_cast<double>(args.hidden_size)}) +
               lookup("rotate_store", {rows, static_cast<double>(heads_.num_q() + heads_.num_kv()),
                                       static_cast<double>(args.head_dim)});
  cost.reduce = 2 * reduce(rows);
  const auto count = static_cast<double>(args.num_hidden_layers);
  cost.weights *= count;
  cost.other *= count;
  cost.reduce *= count;
  for (int i = 0; i < args.num_hidden_layers; ++i) {
    const int window = args.window_of_layer(i);
    const auto seen = [&](double context) {
      return window > 0 ? std::min<double>(context, window) : context;
    };
    cost.attention +=
        attention(shape.decode_rows, seen(shape.decode_context), 0) +
        attention(shape.prefill_rows, seen(shape.prefill_context), shape.prefill_rows);
  }
  return cost;
}

double StepModel::layer(const StepShape& shape) const {
  return layers(shape).total() / plan_.files.args.num_hidden_layers;
}

double StepModel::ends(const StepShape& shape) const {
  const ModelArgs& args = plan_.files.args;
  const double hidden = args.hidden_size;
  double seconds = lookup("embed", {shape.rows(), hidden}) +
                   lookup("norm", {shape.rows(), hidden}) + reduce(shape.rows()) +
                   lookup("sample", {shape.sampled, static_cast<double>(args.vocab_size)});
  if (size_ > 1) {
    seconds += lookup("gather", {shape.sampled, static_cast<double>(args.vocab_size)});
  }
  for (const Product& product : footprint_.products) {
    if (product.layer >= 0) continue;
    seconds += linear(product, product.role == ProductRole::kHead ? shape.sampled : shape.rows());
  }
  return seconds;
}

StepCost StepModel::cost(const StepShape& shape) const {
  StepCost cost = layers(shape);
  const double in_place = correction("layer.in_place", shape.rows(), 1);
  cost.weights *= in_place;
  cost.attention *= in_place;
  cost.reduce *= in_place;
  cost.other *= in_place;
  double head = 0;
  for (const Product& product : footprint_.products) {
    if (product.layer < 0) {
      head += linear(product, product.role == ProductRole::kHead ? shape.sampled : shape.rows());
    }
  }
  const double embedding_reduce = reduce(shape.rows());
  cost.weights += head;
  cost.reduce += embedding_reduce;
  cost.other += std::max(0.0, ends(shape) - head - embedding_reduce) +
                correction("step.overhead", shape.rows(), profile_.fact_or("step_overhead", 0));
  return cost;
}

double StepModel::prefill(double tokens) const {
  const double chunk = plan_.options.max_num_batched_tokens;
  double seconds = 0;
  for (double done = 0; done < tokens; done += chunk) {
    const double rows = std::min(chunk, tokens - done);
    const bool last = done + chunk >= tokens;
    seconds += cost({.prefill_rows = rows,
                     .prefill_context = done + (rows + 1) / 2,
                     .sampled = last ? 1.0 : 0.0})
                   .total();
  }
  return seconds;
}

}  // namespace octet
