// The one binary. All that it does is in cli/ (commands) and server/ (the service).
#include "cli/command_tree.h"

int main(int argc, char** argv) { return quipu::cli::RunCommandLine(argc, argv); }
