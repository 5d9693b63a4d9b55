// The one binary. All that it does is in cli/ (commands) and server/ (the service).
#include "cli/command_tree.h"

// Read by jemalloc when the process starts: large tables on huge pages, where a look at a counter is one miss and not
// two. What is freed goes back to the system some seconds later, also where its thread sleeps: settling needs hundreds
// of megabytes at a time.
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always,background_thread:true";

int main(int argc, char** argv) { return quipu::cli::RunCommandLine(argc, argv); }
