// A JSON object of plain values, as settings are written: read strictly, because a key that is given twice or nested by
// mistake must not be half understood.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"

namespace quipu {

struct FlatJson {
  struct Null {};
  struct Field {
    std::string key;
    std::variant<Null, bool, int64_t, double, std::string> value;
    std::string_view TypeName() const;  // "null", "a boolean", "a whole number", "a number", "a string"
  };
  std::vector<Field> fields;  // in the order of the text

  // kInvalidArgument, with `what` in front: no JSON (with the byte), not an object, an object or array inside, a whole
  // number outside 64 bits, a key twice. At most 64 KiB.
  static Result<FlatJson> Parse(std::string_view what, std::string_view json);
};

// The error for a key that `known` does not have, with the nearest one that it has.
Status UnknownKey(std::string_view what, std::string_view key, std::span<const std::string_view> known);

}  // namespace quipu
