// SseParser: server-sent events out of a byte stream that may be cut anywhere. Only their data is
// kept: comments, names, ids and retry times are passed over. One thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace octet {

class SseParser {
 public:
  using OnData = std::function<void(const std::string& data)>;

  explicit SseParser(OnData on_data) : on_data_(std::move(on_data)) {}

  // Calls on_data for each event that `bytes` completes. Throws InputError for an event of more
  // than kMostBytes.
  void feed(std::string_view bytes);

  static constexpr size_t kMostBytes = 16 << 20;

 private:
  void end_line();

  OnData on_data_;
  std::string line_, data_;
  bool has_data_ = false;      // of the event at hand
  bool after_return_ = false;  // a line feed now belongs to the line end before it
};

}  // namespace octet
