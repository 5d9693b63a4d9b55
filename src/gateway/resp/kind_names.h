// Words for what an event did and how it ended, as replies show them.
#pragma once
#include <string_view>

#include "store/op.h"

namespace quipu::resp {

constexpr std::string_view KindName(store::OpKind kind) {
  switch (kind) {
    case store::OpKind::kAdd:
      return "add";
    case store::OpKind::kClear:
      return "clear";
    case store::OpKind::kSet:
      return "set";
    case store::OpKind::kDelete:
      return "delete";
    case store::OpKind::kExpire:
      return "expire";
    case store::OpKind::kGet:
    case store::OpKind::kTokenOutcome:
    case store::OpKind::kCheckVersion:
      break;
  }
  return "read";
}

constexpr std::string_view OutcomeName(store::Outcome outcome) {
  switch (outcome) {
    case store::Outcome::kApplied:
      return "APPLIED";
    case store::Outcome::kSaturated:
      return "SATURATED";
    case store::Outcome::kRefused:
      return "REFUSED";
  }
  return "APPLIED";
}

}  // namespace quipu::resp
