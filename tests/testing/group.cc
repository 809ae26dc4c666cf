#include "tests/testing/group.h"

#include <exception>
#include <random>
#include <thread>

#include "runtime/models/open_model.h"
#include "runtime/weights/quantizer.h"

namespace octet::testing {

void run_group(const EngineOptions& options, int ranks, const std::function<void(Engine&)>& lead) {
  EngineOptions of_rank = options;
  if (of_rank.threads == 0) of_rank.threads = 1;
  auto communicators = make_thread_communicators(ranks, comm_options(of_rank, ranks));
  std::vector<std::exception_ptr> errors(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        run_rank(of_rank, *communicators[rank], lead);
      } catch (...) {
        errors[rank] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

std::map<uint64_t, Answer> answer_all(const EngineOptions& options, int ranks,
                                      const std::vector<Request>& requests) {
  std::map<uint64_t, Answer> answers;
  run_group(options, ranks, [&](Engine& engine) {
    for (const Request& request : requests) engine.submit(request);
    engine.run(
        [&](std::vector<RequestOutput> outputs) {
          for (RequestOutput& output : outputs) {
            Answer& answer = answers[output.request_id];
            if (output.token >= 0) {
              answer.ids.push_back(output.token);
              answer.logprobs.push_back(output.logprob);
            }
            if (!output.prompt_logprobs.empty()) answer.prompt_logprobs = output.prompt_logprobs;
            answer.finish = output.finish;
            answer.error = output.error;
          }
        },
        true);
  });
  return answers;
}

std::vector<Request> random_requests(int count, int max_length, int max_tokens, int vocab_size,
                                     uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request{.id = static_cast<uint64_t>(i), .prompt = {}, .sampling = {}};
    request.prompt.resize(1 + generator() % max_length);
    for (int32_t& id : request.prompt) id = static_cast<int32_t>(generator() % vocab_size);
    request.sampling = {.max_tokens = max_tokens,
                        .temperature = i % 4 == 0 ? 0.0f : 0.9f,
                        .top_k = i % 4 == 1 ? 20 : 0,
                        .top_p = i % 4 == 2 ? 0.9f : 1.0f,
                        .seed = seed + static_cast<uint64_t>(i),
                        .ignore_eos = true};
    requests.push_back(std::move(request));
  }
  return requests;
}

std::filesystem::path quantize(const std::filesystem::path& checkpoint,
                               const std::filesystem::path& out, bool int8_head) {
  const ModelFiles source = open_model({.path = checkpoint});
  quantize_checkpoint(*source.checkpoint, Partition(source.args), out,
                      {.int8_head = int8_head, .progress = {}});
  return out;
}

}  // namespace octet::testing
