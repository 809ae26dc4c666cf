// Says on stderr how far long work is: one line drawn again and again on a terminal, else a line
// every tenth. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace octet {

class Progress {
 public:
  // The rate is shown in `unit`s a second, each of `unit_size`.
  Progress(std::string verb, std::string unit, double unit_size);
  ~Progress();  // takes the drawn line away

  void update(const std::string& label, uint64_t done, uint64_t total);
  double seconds() const;  // since construction

 private:
  void draw(const std::string& label, double share, const std::string& figures, bool last);

  const std::string verb_, unit_;
  const double unit_size_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool drawn_ = false;
  double drawn_at_ = 0;
  int tenth_ = -1;
};

}  // namespace octet
