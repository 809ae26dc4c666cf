#include "kernels/cuda/attention_call.h"

namespace octet::cuda {

void attention(const AttentionCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.num_q == 0) return;
  if (!attention_decode_accepts(call)) {
    attention_plain(call, stream);
    return;
  }
  if (call.num_seqs > 1 || call.n == 1) attention_decode(call, stream);
  if (call.n == call.num_seqs) return;  // each has one row
  if (attention_prefill_accepts(call)) {
    attention_prefill(call, stream);
  } else {
    attention_row_by_row(call, stream);
  }
}

}  // namespace octet::cuda
