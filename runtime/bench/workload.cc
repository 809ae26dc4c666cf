#include "runtime/bench/workload.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace octet {
namespace {

constexpr std::array kWords{
    "time",   "people",  "water",   "world",   "house",  "school", "family",  "night",
    "story",  "group",   "money",   "light",   "power",  "music",  "table",   "paper",
    "river",  "street",  "church",  "market",  "winter", "summer", "garden",  "letter",
    "number", "picture", "father",  "mother",  "friend", "doctor", "office",  "island",
    "bridge", "window",  "morning", "evening", "small",  "great",  "young",   "little",
    "white",  "black",   "green",   "heavy",   "early",  "simple", "strong",  "public",
    "common", "second",  "found",   "called",  "moved",  "played", "opened",  "turned",
    "walked", "looked",  "wanted",  "before",  "after",  "under",  "between", "through"};

}  // namespace

PromptMaker::PromptMaker(int vocab_size, int shared_prefix, uint64_t seed)
    : vocab_size_(vocab_size), random_(seed) {
  for (int i = 0; i < shared_prefix; ++i) prefix_.push_back(draw());
}

int PromptMaker::draw() {
  const int choices = vocab_size_ > 0 ? vocab_size_ : static_cast<int>(kWords.size());
  return std::uniform_int_distribution<int>(0, choices - 1)(random_);
}

Prompt PromptMaker::make(int tokens) {
  std::vector<int32_t> ids;
  for (int i = 0; i < tokens; ++i) {
    ids.push_back(static_cast<size_t>(i) < prefix_.size() ? prefix_[i] : draw());
  }
  if (vocab_size_ > 0) return ids;
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ' ';
    text += kWords[id];
  }
  return text;
}

std::vector<PlannedRequest> plan_random(const RandomWorkload& workload, PromptMaker& prompts) {
  std::mt19937_64 random(workload.seed);
  std::vector<PlannedRequest> requests;
  for (size_t i = 0; i < workload.count; ++i) {
    const int input = workload.input.draw(random), output = workload.output.draw(random);
    requests.push_back(
        {.prompt = prompts.make(input), .prompt_tokens = input, .max_tokens = output});
  }
  return requests;
}

std::vector<PlannedRequest> plan_trace(const Trace& trace, double speed, double length_scale,
                                       PromptMaker& prompts) {
  const auto scaled = [&](int tokens) {
    return std::clamp(static_cast<int>(std::lround(tokens * length_scale)), 1, kMostTokens);
  };
  std::vector<PlannedRequest> requests;
  for (const TraceRow& row : trace.rows) {
    PlannedRequest request{.at = row.at / speed, .max_tokens = scaled(row.output_tokens)};
    if (row.prompt.empty()) {
      request.prompt_tokens = scaled(row.input_tokens);
      request.prompt = prompts.make(request.prompt_tokens);
    } else {
      request.prompt = row.prompt;
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

size_t leave_out_too_long(std::vector<PlannedRequest>& requests, int max_model_len) {
  if (max_model_len == 0) return 0;
  return std::erase_if(requests, [&](const PlannedRequest& request) {
    return request.prompt_tokens + request.max_tokens > max_model_len;
  });
}

void set_times(std::vector<PlannedRequest>& requests, const std::vector<double>& times) {
  for (size_t i = 0; i < std::min(times.size(), requests.size()); ++i) requests[i].at = times[i];
}

}  // namespace octet
