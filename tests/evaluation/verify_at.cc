#include "tests/evaluation/verify_at.h"

#include <exception>
#include <thread>

#include "runtime/engine/engine.h"
#include "tests/testing/group.h"

namespace octet::testing {

VerifyReport verify_at(const std::filesystem::path& tested, const std::filesystem::path& reference,
                       const std::vector<std::vector<int32_t>>& prompts, int ranks) {
  VerifyOptions options{.tested = {.model = tested, .max_model_len = 64, .max_num_seqs = 1},
                        .reference = {.model = reference,
                                      .quantization = "none",
                                      .kv_cache_dtype = "float32",
                                      .max_model_len = 64,
                                      .max_num_seqs = 1},
                        .prompts = prompts};
  options.tested.threads = options.reference.threads = 1;
  auto communicators = make_thread_communicators(ranks, comm_options(options.reference, ranks));
  VerifyReport report;
  std::exception_ptr error;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        VerifyReport own = verify(options, *communicators[rank]);
        if (rank == 0) report = std::move(own);
      } catch (...) {
        if (rank == 0) error = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
  return report;
}

}  // namespace octet::testing
