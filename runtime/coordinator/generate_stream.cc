#include "runtime/coordinator/generate_stream.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/coordinator/validation.h"
#include "runtime/coordinator/wire.h"
#include "runtime/request/error.h"

namespace octet {

GenerateStream::GenerateStream(grpc::CallbackServerContext& context, const ServedModel& model,
                               Router& router, LiveStreams& streams)
    : context_(context), model_(model), router_(router), streams_(streams), id_(router.new_id()) {}

void GenerateStream::start(const grpc::ByteBuffer& message, std::chrono::milliseconds retry_delay) {
  try {
    admit(message);
  } catch (const InputError& error) {
    if (error.code() == ErrorCode::kResourceExhausted) {
      context_.AddTrailingMetadata("retry-delay-ms", std::to_string(retry_delay.count()));
    }
    const std::lock_guard lock(mutex_);
    close(to_status(error));
  }
}

void GenerateStream::admit(const grpc::ByteBuffer& bytes) {
  v1::GenerateRequest message;
  parse_message(bytes, message);
  model_.require_name(message.model());
  CheckedRequest checked = check_request(message, model_, router_.require_room());
  checked.request.id = id_;
  {
    const std::lock_guard lock(mutex_);
    logprobs_ = checked.request.sampling.logprobs;
    prompt_tokens_ = static_cast<uint32_t>(checked.request.prompt.size());
    decoder_.emplace(model_.tokenizer());
    stops_.emplace(std::move(checked.stops));
  }
  router_.submit(std::move(checked.request), shared_from_this());
}

void GenerateStream::on_output(const RequestOutput& output) {
  bool stopped_here = false;
  {
    const std::lock_guard lock(mutex_);
    if (status_) return;
    if (output.token >= 0) add_token(output.token, output.logprob);
    if (stops_->found()) {
      stopped_here = output.finish == FinishReason::kNone;
      complete(v1::FINISH_REASON_STOP);
    } else if (output.finish == FinishReason::kStop) {
      complete(v1::FINISH_REASON_STOP);
    } else if (output.finish == FinishReason::kLength) {
      complete(v1::FINISH_REASON_LENGTH);
    } else if (output.finish == FinishReason::kCancelled) {
      close({grpc::UNAVAILABLE, "worker group lost: it is stopping"});
    } else if (output.finish == FinishReason::kError) {
      close({grpc::INTERNAL, fmt::format("worker group: {}", output.error)});
    }
    flush();
  }
  if (stopped_here) router_.cancel(id_);
}

void GenerateStream::on_lost(const std::string& why) {
  const std::lock_guard lock(mutex_);
  close({grpc::UNAVAILABLE, why});
}

void GenerateStream::add_token(int32_t token, float logprob) {
  has_next_ = true;
  ++completion_tokens_;
  next_.add_token_ids(token);
  if (logprobs_) next_.add_logprobs(logprob);
  // A model's table of embeddings may be padded beyond its tokenizer; such an id has no text.
  if (token < model_.tokenizer().vocab_size()) {
    next_.mutable_text()->append(stops_->push(decoder_->push(token)));
  }
}

void GenerateStream::complete(v1::FinishReason reason) {
  std::string rest = stops_->push(decoder_->finish());
  rest += stops_->finish();
  next_.mutable_text()->append(rest);
  if (stops_->found()) reason = v1::FINISH_REASON_STOP;
  next_.set_finish_reason(reason);
  next_.mutable_usage()->set_prompt_tokens(prompt_tokens_);
  next_.mutable_usage()->set_completion_tokens(completion_tokens_);
  has_next_ = true;
  close(grpc::Status::OK);
}

void GenerateStream::close(grpc::Status status) {
  if (status_) return;
  status_ = std::move(status);
  flush();
}

void GenerateStream::flush() {
  if (is_writing_ || finished_) return;
  write_start_ = std::chrono::steady_clock::now();
  if (has_next_) {
    writing_ = serialize_message(next_);
    next_.Clear();
    has_next_ = false;
    if (status_) {
      finished_ = true;
      StartWriteAndFinish(&writing_, {}, *status_);
    } else {
      is_writing_ = true;
      StartWrite(&writing_);
    }
  } else if (status_) {
    finished_ = true;
    Finish(*status_);
  }
}

void GenerateStream::OnWriteDone(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    is_writing_ = false;
    if (!ok) {
      has_next_ = false;
      close({grpc::CANCELLED, "the client is gone"});
    }
    flush();
  }
  if (!ok) router_.cancel(id_);
}

void GenerateStream::OnCancel() {
  {
    const std::lock_guard lock(mutex_);
    has_next_ = false;
    close({grpc::CANCELLED, "cancelled by the client or its deadline"});
  }
  router_.cancel(id_);
}

void GenerateStream::OnDone() { streams_.remove(this); }

void GenerateStream::reset_if_stalled(std::chrono::milliseconds limit) {
  const std::lock_guard lock(mutex_);
  if (!is_writing_ && !finished_) return;
  if (std::chrono::steady_clock::now() - write_start_ > limit) context_.TryCancel();
}

}  // namespace octet
