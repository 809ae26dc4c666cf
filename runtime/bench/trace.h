// Traces of real services, read for replay: when requests came, how long they and their answers
// were, and, where the trace has it, what they said.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace octet {

struct TraceRow {
  double at = 0;          // seconds after the trace's first row
  int input_tokens = 0;   // 0: not said; the prompt is there
  int output_tokens = 0;  // at least 1
  std::string prompt;     // "": only lengths are known
};

struct Trace {
  std::vector<TraceRow> rows;
  size_t left_out = 0;      // malformed rows, where they are skipped
  std::string first_fault;  // of those: file, line, field and value
};

enum class Malformed { kRefuse, kSkip };

// All read at most `most` rows and throw InputError for a file that cannot be read, has none of the
// form's columns or no row at all; for a malformed row with kRefuse, naming file, line, field and
// value.

// The Azure LLM inference traces: TIMESTAMP (a date and a time), ContextTokens, GeneratedTokens.
Trace read_azure_trace(const std::filesystem::path& path, size_t most, Malformed malformed);

// BurstGPT: Timestamp (seconds), "Request tokens", "Response tokens". Rows without a response are
// failures of the traced service; they are passed over.
Trace read_burstgpt_trace(const std::filesystem::path& path, size_t most, Malformed malformed);

// ShareGPT: a JSON array of {"conversations": [{"from", "value"}, ...]}: the first question, and a
// token for every four characters of its answer; all at second 0. Conversations without both are
// passed over. One conversation is held in memory at a time.
Trace read_sharegpt_trace(const std::filesystem::path& path, size_t most, Malformed malformed);

}  // namespace octet
