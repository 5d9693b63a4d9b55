// The one table from the codes of the store to what a Redis client sees. The first word is what clients act on:
// LOADING, READONLY and TRYAGAIN make stock clients send again on their own, so no code of unknown effect uses them.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace quipu::resp {

// The reply to an op or call that failed with `code`, whole and without a line end. kOk is not an error.
std::string_view ErrorText(Code code);
// What the replies for `code` start with.
std::string_view ErrorPrefix(Code code);
// The same reply with the status's own message in the place of the text behind the prefix.
std::string ErrorText(const Status& status);
// That there is no namespace of that name, and how to make one.
std::string NoNamespaceError(std::string_view name);

// That `ms` cannot be stored as a time of an event; `field` names the argument.
std::string EventTimeError(std::string_view field, int64_t ms);

namespace text {
inline constexpr std::string_view kSyntax = "ERR syntax error";
inline constexpr std::string_view kNotInteger = "ERR value is not an integer or out of range";
inline constexpr std::string_view kNotInt32 =
    "ERR value is out of range, value must between -2147483648 and 2147483647";
inline constexpr std::string_view kOverflow = "ERR increment or decrement would overflow";
inline constexpr std::string_view kDecrementOverflow = "ERR decrement would overflow";
inline constexpr std::string_view kNoAuth = "NOAUTH Authentication required.";
inline constexpr std::string_view kWrongPass = "WRONGPASS invalid username-password pair or user is disabled.";
inline constexpr std::string_view kHelloNoAuth =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time";
inline constexpr std::string_view kNoPassword =
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?";
inline constexpr std::string_view kNoProto = "NOPROTO unsupported protocol version";
inline constexpr std::string_view kProtoNotInteger = "ERR Protocol version is not an integer or out of range";
inline constexpr std::string_view kExecAbort = "EXECABORT Transaction discarded because of previous errors.";
inline constexpr std::string_view kNestedMulti = "ERR MULTI calls can not be nested";
inline constexpr std::string_view kExecWithoutMulti = "ERR EXEC without MULTI";
inline constexpr std::string_view kDiscardWithoutMulti = "ERR DISCARD without MULTI";
inline constexpr std::string_view kWatchInMulti = "ERR WATCH inside MULTI is not allowed";
inline constexpr std::string_view kNotInMulti = "ERR Command not allowed inside a transaction";
inline constexpr std::string_view kSourcesQuota =
    "OOM quota of sources is used up: the server knows as many as engine.sources_max allows";
inline constexpr std::string_view kInvalidCursor = "ERR invalid cursor";
inline constexpr std::string_view kDbIndex = "ERR DB index is out of range";
inline constexpr std::string_view kMaxClients = "ERR max number of clients reached";
inline constexpr std::string_view kClusterOff = "ERR This instance has cluster support disabled";
inline constexpr std::string_view kNoSuchClient = "ERR No such client";
inline constexpr std::string_view kBadClientName =
    "ERR Client names cannot contain spaces, newlines or special characters.";
inline constexpr std::string_view kExpireNxConflict =
    "ERR NX and XX, GT or LT options at the same time are not compatible";
inline constexpr std::string_view kExpireGtLtConflict = "ERR GT and LT options at the same time are not compatible";
}  // namespace text

}  // namespace quipu::resp
