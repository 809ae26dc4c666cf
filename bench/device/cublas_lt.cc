#include "bench/device/cublas_lt.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <stdexcept>

namespace octet::bench {
namespace {

constexpr int kMostAlgorithms = 4;

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(fmt::format("cuBLASLt: {}: status {}", what, static_cast<int>(status)));
}

struct Library {
  Library() {
    const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    const auto find = [&]<typename Function>(const char* symbol, Function& function) {
      function = reinterpret_cast<Function>(dlsym(library, symbol));
      if (function == nullptr) throw std::runtime_error(fmt::format("{} has no {}", name, symbol));
    };
    find("cublasLtCreate", create);
    find("cublasLtMatmulDescCreate", create_operation);
    find("cublasLtMatmulDescDestroy", destroy_operation);
    find("cublasLtMatmulDescSetAttribute", set_operation);
    find("cublasLtMatrixLayoutCreate", create_layout);
    find("cublasLtMatrixLayoutDestroy", destroy_layout);
    find("cublasLtMatmulPreferenceCreate", create_preference);
    find("cublasLtMatmulPreferenceDestroy", destroy_preference);
    find("cublasLtMatmulPreferenceSetAttribute", set_preference);
    find("cublasLtMatmulAlgoGetHeuristic", guess);
    find("cublasLtMatmul", matmul);
    check(create(&handle), "handle");
  }

  decltype(&cublasLtCreate) create;
  decltype(&cublasLtMatmulDescCreate) create_operation;
  decltype(&cublasLtMatmulDescDestroy) destroy_operation;
  decltype(&cublasLtMatmulDescSetAttribute) set_operation;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatmulAlgoGetHeuristic) guess;
  decltype(&cublasLtMatmul) matmul;
  cublasLtHandle_t handle = nullptr;  // lives as long as the process
};

const Library& library() {
  static const Library library;
  return library;
}

cublasLtMatmulDesc_t create_operation() {
  cublasLtMatmulDesc_t operation = nullptr;
  check(library().create_operation(&operation, CUBLAS_COMPUTE_32I, CUDA_R_32I), "operation");
  return operation;
}

// The library's matrices lie column by column: a row-major [columns, rows] is its rows x columns.
cublasLtMatrixLayout_t create_layout(int64_t rows, int64_t columns, cudaDataType_t type) {
  cublasLtMatrixLayout_t layout = nullptr;
  check(library().create_layout(&layout, type, rows, columns, rows), "layout");
  return layout;
}

}  // namespace

CublasLtProduct::CublasLtProduct(int64_t n, int64_t out, int64_t in, size_t workspace_bytes)
    : operation_(create_operation(), library().destroy_operation),
      w_(create_layout(in, out, CUDA_R_8I), library().destroy_layout),
      x_(create_layout(in, n, CUDA_R_8I), library().destroy_layout),
      sums_(create_layout(out, n, CUDA_R_32I), library().destroy_layout) {
  const cublasOperation_t transposed = CUBLAS_OP_T;
  check(library().set_operation(operation_.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                sizeof transposed),
        "transposed weights");
  cublasLtMatmulPreference_t preference = nullptr;
  check(library().create_preference(&preference), "preference");
  const Owned<cublasLtMatmulPreference_t> owned(preference, library().destroy_preference);
  check(library().set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                 &workspace_bytes, sizeof workspace_bytes),
        "workspace");
  cublasLtMatmulHeuristicResult_t guesses[kMostAlgorithms];
  int count = 0;
  const cublasStatus_t status =
      library().guess(library().handle, operation_.get(), w_.get(), x_.get(), sums_.get(),
                      sums_.get(), preference, kMostAlgorithms, guesses, &count);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return;
  check(status, "algorithms");
  for (int i = 0; i < count; ++i) {
    if (guesses[i].state == CUBLAS_STATUS_SUCCESS) algorithms_.push_back(guesses[i].algo);
  }
}

void CublasLtProduct::queue(const cublasLtMatmulAlgo_t& algorithm, const Tensor& x, const Tensor& w,
                            const Tensor& sums, const Tensor& workspace,
                            cudaStream_t stream) const {
  const int32_t one = 1, zero = 0;
  check(
      library().matmul(library().handle, operation_.get(), &one, w.raw_data(), w_.get(),
                       x.raw_data(), x_.get(), &zero, sums.raw_data(), sums_.get(), sums.raw_data(),
                       sums_.get(), &algorithm, workspace.raw_data(), workspace.bytes(), stream),
      "product");
}

}  // namespace octet::bench
