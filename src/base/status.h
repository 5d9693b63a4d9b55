// The outcome of a call. One table of codes serves every protocol (docs/operating/errors.md); a code exists only if a
// caller would act on it. "Nothing happened" and "may have happened" never share a code: IsUnknown() tells them apart.
//
// Threads   A value; copy and move freely.
// Cost      OK is one byte and no allocation; an error allocates its message.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/assert.h"

namespace quipu {

// The names are the codes of the public error table, in its order. Numbers are internal and may change.
enum class Code : uint8_t {
  kOk,
  kInvalidArgument,
  kTooLarge,
  kUnimplemented,
  kUnauthenticated,
  kPermissionDenied,
  kNamespaceNotFound,
  kNotFound,
  kAlreadyExists,
  kVersionMismatch,
  kTokenConflict,
  kTokenExpired,
  kTokenInFuture,
  kTokenRequired,
  kEventTooOld,
  kEventInFuture,
  kOverflow,
  kConditionNotMet,
  kReservationClosed,
  kReadOnly,
  kRateLimited,
  kQuotaExceeded,
  kStorageFull,
  kOverloaded,
  kUnavailable,
  kDataLoss,
  kDeadlineExceeded,  // effect unknown
  kUnknownOutcome,    // effect unknown
  kInternal,          // effect unknown
};

// "TOKEN_CONFLICT" and the like: what HTTP, gRPC and logs show.
std::string_view CodeName(Code code);
// True for the codes after which the effect may or may not be there: only the same token again is safe.
constexpr bool IsUnknown(Code code) { return code >= Code::kDeadlineExceeded; }

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::make_unique<std::string>(std::move(message))) {}
  explicit Status(Code code) : code_(code) {}
  Status(const Status& o)
      : code_(o.code_), message_(o.message_ ? std::make_unique<std::string>(*o.message_) : nullptr) {}
  Status(Status&&) noexcept = default;
  Status& operator=(const Status& o) {
    code_ = o.code_;
    message_ = o.message_ ? std::make_unique<std::string>(*o.message_) : nullptr;
    return *this;
  }
  Status& operator=(Status&&) noexcept = default;

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  std::string_view message() const { return message_ ? std::string_view(*message_) : std::string_view(); }
  std::string ToString() const;
  // Swallows an error on purpose; the reason is for the reader.
  void Ignore(std::string_view /*why*/) const {}

 private:
  Code code_ = Code::kOk;
  std::unique_ptr<std::string> message_;
};

inline Status OkStatus() { return Status(); }

// A value or the Status that says why there is none. Spelled like std::expected where it can be.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Status status) : v_(std::in_place_index<1>, std::move(status)) {
    QUIPU_ASSERT(!std::get<1>(v_).ok(), "a Result without a value needs an error");
  }
  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    QUIPU_ASSERT(ok(), "value() of an error: {}", std::get<1>(v_).ToString());
    return std::get<0>(v_);
  }
  const T& value() const& {
    QUIPU_ASSERT(ok(), "value() of an error: {}", std::get<1>(v_).ToString());
    return std::get<0>(v_);
  }
  T&& value() && {
    QUIPU_ASSERT(ok(), "value() of an error: {}", std::get<1>(v_).ToString());
    return std::move(std::get<0>(v_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Status status() const { return ok() ? OkStatus() : std::get<1>(v_); }
  Code code() const { return ok() ? Code::kOk : std::get<1>(v_).code(); }

 private:
  std::variant<T, Status> v_;
};

#define QUIPU_CONCAT_INNER(a, b) a##b
#define QUIPU_CONCAT(a, b) QUIPU_CONCAT_INNER(a, b)
// Returns early with the error of an expression that yields a Status.
#define QUIPU_RETURN_IF_ERROR(expr)                 \
  do {                                              \
    if (::quipu::Status quipu_status_ = (expr); !quipu_status_.ok()) return quipu_status_; \
  } while (0)
// Declares `lhs` from a Result, or returns early with its error.
#define QUIPU_ASSIGN_OR_RETURN(lhs, expr) QUIPU_ASSIGN_OR_RETURN_IMPL(QUIPU_CONCAT(quipu_result_, __LINE__), lhs, expr)
#define QUIPU_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return tmp.status();               \
  lhs = std::move(tmp).value()

}  // namespace quipu
