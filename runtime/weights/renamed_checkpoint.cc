#include "runtime/weights/renamed_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/check.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

constexpr std::string_view kSuffixes[] = {".weight", ".bias", ".weight_scale"};

// Buffers that older files carry along: constants, or what the config also gives.
constexpr std::string_view kDerived[] = {".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                         ".attention.bias", ".attention.masked_bias"};

enum Part { kQ, kK, kV };

Part part_of(std::string_view name) {
  return name.ends_with("q_proj") ? kQ : name.ends_with("k_proj") ? kK : kV;
}

// Where row `row` lies among the rows of Layout::kInterleavedHeads.
int64_t interleaved_row(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim;
  return head * head_dim + within % (head_dim / 2) * 2 + within / (head_dim / 2);
}

}  // namespace

RenamedCheckpoint::RenamedCheckpoint(std::unique_ptr<Checkpoint> published, const ModelArgs& args,
                                     std::span<const ModuleName> modules)
    : published_(std::move(published)), args_(args) {
  for (const TensorInfo& info : published_->tensors()) {
    bool known = std::ranges::any_of(
        kDerived, [&](std::string_view end) { return info.name.ends_with(end); });
    for (const ModuleName& module : modules) {
      if (const auto found = match(info.name, module)) {
        add(info, *found);
        known = true;
      }
    }
    if (!known) {
      throw InputError(fmt::format("{}: tensor {}: the model family has no such tensor",
                                   path().string(), printable(info.name)));
    }
  }
  std::ranges::sort(tensors_, {}, &TensorInfo::name);
}

// A folder of the bare model lacks the outermost name ("h.0.attn" for "transformer.h.0.attn").
std::optional<RenamedCheckpoint::Match> RenamedCheckpoint::match(std::string_view tensor,
                                                                 const ModuleName& module) const {
  const std::string_view bare = module.published.substr(module.published.find('.') + 1);
  for (std::string_view suffix : kSuffixes) {
    if (!tensor.ends_with(suffix)) continue;
    const std::string_view name = tensor.substr(0, tensor.size() - suffix.size());
    auto layer = match_layer(module.published, name);
    if (!layer && kind() == CheckpointKind::kFolder) layer = match_layer(bare, name);
    if (layer) return Match{&module, *layer, suffix};
  }
  return std::nullopt;
}

void RenamedCheckpoint::add(const TensorInfo& info, const Match& match) {
  TensorInfo renamed = info;
  renamed.name = full_name(match.module->name, match.layer) + std::string(match.suffix);
  Source source = source_of(info, *match.module, &renamed.shape);
  if (info.shape.numel() > renamed.shape.numel()) {
    const double part =
        static_cast<double>(renamed.shape.numel()) / static_cast<double>(info.shape.numel());
    renamed.stored_bytes = static_cast<uint64_t>(static_cast<double>(info.stored_bytes) * part);
  }
  if (!sources_.emplace(renamed.name, std::move(source)).second) {
    throw InputError(fmt::format("{}: tensor {}: a second {}", path().string(),
                                 printable(info.name), renamed.name));
  }
  tensors_.push_back(std::move(renamed));
}

RenamedCheckpoint::Source RenamedCheckpoint::source_of(const TensorInfo& info,
                                                       const ModuleName& module,
                                                       Shape* shape) const {
  const Layout layout = module.layout;
  const bool matrix = info.shape.rank() == 2;
  Source source{.name = info.name};
  source.transposed =
      matrix && (layout == Layout::kTransposed || layout == Layout::kStackedTransposed);
  if (source.transposed && info.dtype == DType::kI8) {
    throw InputError(fmt::format("{}: tensor {}: int8 of a matrix that is published as [in, out]",
                                 path().string(), printable(info.name)));
  }
  const int64_t rows = info.shape.rank() > 0 ? info.shape[source.transposed ? 1 : 0] : 0;
  source.run = source.stride = rows;
  source.head_dim = interleaved_head_dim(info, module);
  int64_t count = rows;
  if (layout == Layout::kStacked || layout == Layout::kStackedTransposed ||
      layout == Layout::kGrouped) {
    const int64_t d = args_.head_dim, kv = args_.num_key_value_heads;
    const int64_t groups = layout == Layout::kGrouped ? kv : 1;
    const int64_t q_run = args_.num_attention_heads * d / groups, kv_run = kv * d / groups;
    if (rows != groups * (q_run + 2 * kv_run)) {
      throw InputError(fmt::format("{}: tensor {} has shape {}, not the {} rows of q, k and v",
                                   path().string(), printable(info.name), info.shape.to_string(),
                                   groups * (q_run + 2 * kv_run)));
    }
    const Part part = part_of(module.name);
    source.first = part == kQ ? 0 : part == kK ? q_run : q_run + kv_run;
    source.run = part == kQ ? q_run : kv_run;
    source.stride = q_run + 2 * kv_run;
    count = groups * source.run;
  }
  if (source.transposed) {
    *shape = Shape{count, info.shape[0]};
  } else if (matrix) {
    *shape = Shape{count, info.shape[1]};
  } else if (info.shape.rank() == 1) {
    *shape = Shape{count};
  }
  return source;
}

// 0: rows are in order.
int64_t RenamedCheckpoint::interleaved_head_dim(const TensorInfo& info,
                                                const ModuleName& module) const {
  if (module.layout != Layout::kInterleavedHeads) return 0;
  const int64_t heads =
      part_of(module.name) == kQ ? args_.num_attention_heads : args_.num_key_value_heads;
  if (args_.head_dim % 2 != 0 || info.shape.rank() == 0 ||
      info.shape[0] != heads * args_.head_dim) {
    throw InputError(fmt::format(
        "{}: tensor {} has shape {}, not the rows of {} heads of an even head_dim {}",
        path().string(), printable(info.name), info.shape.to_string(), heads, args_.head_dim));
  }
  return args_.head_dim;
}

void RenamedCheckpoint::read(std::string_view name, const TensorSlice& slice,
                             const Tensor& out) const {
  const auto found = sources_.find(name);
  OCTET_CHECK(found != sources_.end(), "{} has no {}", path().string(), name);
  const Source& source = found->second;
  const TensorInfo& info = *find(name);
  check_slice(info.name, info.dtype, info.shape, slice, out);
  if (source.transposed) {
    read_transposed(source, info, slice, out);
  } else if (source.run == source.stride && source.head_dim == 0) {
    published_->read(source.name, slice, out);
  } else {
    OCTET_CHECK(slice.axis == 0, "columns of {}", name);
    read_rows(source, slice.begin, slice.end, out);
  }
}

void RenamedCheckpoint::read_rows(const Source& source, int64_t begin, int64_t end,
                                  const Tensor& out) const {
  for (int64_t row = begin; row < end;) {
    const int64_t group = row / source.run, within = row % source.run;
    int64_t count = std::min(end - row, source.run - within);
    int64_t from = source.first + group * source.stride + within;
    if (source.head_dim != 0) {
      count = 1;
      from = interleaved_row(row, source.head_dim);
    }
    published_->read(source.name, {.axis = 0, .begin = from, .end = from + count},
                     out.rows(row - begin, row - begin + count));
    row += count;
  }
}

// Rows wanted are columns of the file, and the other way round.
void RenamedCheckpoint::read_transposed(const Source& source, const TensorInfo& info,
                                        const TensorSlice& slice, const Tensor& out) const {
  OCTET_CHECK(slice.axis == 0 || source.run == source.stride, "columns of a part of {}", info.name);
  const int64_t count = slice.end - slice.begin;
  const int64_t rows = slice.axis == 0 ? info.shape[1] : count;
  const int64_t columns = slice.axis == 0 ? count : info.shape[0];
  const int64_t first = slice.axis == 0 ? source.first : 0;
  const Tensor turned = Tensor::host(info.dtype, {rows, columns});
  published_->read(source.name,
                   {.axis = 1 - slice.axis, .begin = first + slice.begin, .end = first + slice.end},
                   turned);
  const size_t size = dtype_size(info.dtype);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      std::memcpy(out.raw_data() + static_cast<size_t>(j * rows + i) * size,
                  turned.raw_data() + static_cast<size_t>(i * columns + j) * size, size);
    }
  }
}

}  // namespace octet
