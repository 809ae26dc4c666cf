#include "runtime/weights/hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "kernels/check.h"

namespace octet {

uint64_t hash_bytes(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

std::optional<uint64_t> hash_from_text(std::string_view text) {
  uint64_t hash = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), hash, 16);
  if (error != std::errc() || hash_text(hash) != text) return std::nullopt;
  return hash;
}

Hasher::Hasher() : state_(XXH3_createState()) { XXH3_64bits_reset(state_.get()); }

void Hasher::add(std::span<const std::byte> bytes) {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t Hasher::finish() const { return XXH3_64bits_digest(state_.get()); }

PartHasher::PartHasher(int axis, std::vector<int64_t> cuts, uint64_t row_bytes,
                       uint64_t column_bytes)
    : axis_(axis), cuts_(std::move(cuts)), row_bytes_(row_bytes), column_bytes_(column_bytes) {
  OCTET_CHECK(cuts_.size() >= 2 && row_bytes > 0, "{} cuts, rows of {} bytes", cuts_.size(),
              row_bytes);
  if (axis == 1) {
    pieces_.resize(cuts_.size() - 1);
  } else {
    parts_.resize(cuts_.size() - 1);
  }
}

void PartHasher::add_rows(std::span<const std::byte> rows) {
  OCTET_CHECK(rows.size() % row_bytes_ == 0, "{} bytes, rows of {}", rows.size(), row_bytes_);
  while (!rows.empty()) {
    if (axis_ == 1) {
      for (size_t part = 0; part < pieces_.size(); ++part) {
        const uint64_t begin = static_cast<uint64_t>(cuts_[part]) * column_bytes_;
        const uint64_t end = static_cast<uint64_t>(cuts_[part + 1]) * column_bytes_;
        pieces_[part].push_back(hash_bytes(rows.subspan(begin, end - begin)));
      }
      rows = rows.subspan(row_bytes_);
      continue;
    }
    OCTET_CHECK(rows_ < cuts_.back(), "more than {} rows", cuts_.back());
    while (rows_ >= cuts_[part_ + 1]) ++part_;
    const auto due = static_cast<uint64_t>(cuts_[part_ + 1] - rows_);
    const uint64_t count = std::min<uint64_t>(due, rows.size() / row_bytes_);
    parts_[part_].add(rows.first(count * row_bytes_));
    rows = rows.subspan(count * row_bytes_);
    rows_ += static_cast<int64_t>(count);
  }
}

std::vector<uint64_t> PartHasher::finish() const {
  std::vector<uint64_t> hashes;
  for (const Hasher& part : parts_) hashes.push_back(part.finish());
  for (const auto& pieces : pieces_) hashes.push_back(hash_bytes(std::as_bytes(std::span(pieces))));
  return hashes;
}

}  // namespace octet
