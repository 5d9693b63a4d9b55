// From the words after `quipu` to one command's options and its run.
#pragma once

namespace quipu::cli {

// Parses, runs, returns the process's exit code.
int RunCommandLine(int argc, const char* const* argv);

}  // namespace quipu::cli
