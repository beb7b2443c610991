// pccl-master: the master of a run, as a daemon. Runs until SIGINT or SIGTERM.
#include <pccl.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "listen_address.hpp"
#include "termination.hpp"

namespace {

int run(const std::string& listen_text) {
  const pccl_tools::ListenAddress listen = pccl_tools::resolve(listen_text);
  if (!listen.error.empty()) {
    std::fprintf(stderr, "pccl-master: %s\n", listen.error.c_str());
    return EXIT_FAILURE;
  }
  const pccl_tools::Termination termination;
  pcclMasterInstance_t* master = nullptr;
  pcclResult_t result = pcclCreateMaster(listen.address, &master);
  if (result == pcclSuccess) result = pcclRunMaster(master);
  if (result != pcclSuccess) {
    std::fprintf(
        stderr, "pccl-master: cannot serve on %s: %s\n", listen.text.c_str(),
        result == pcclInvalidUsage
            ? "the address is in use or not of this machine, or the state file is of no use"
            : pcclGetErrorString(result));
    if (master != nullptr) pcclDestroyMaster(master);
    return EXIT_FAILURE;
  }
  std::printf("pccl-master listening on %s\n", listen.text.c_str());
  std::fflush(stdout);

  termination.wait();
  pcclInterruptMaster(master);
  pcclMasterAwaitTermination(master);
  pcclDestroyMaster(master);
  std::printf("pccl-master stopped\n");
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "The master of a PCCL run: decides who is in, and moves no tensor. Stop it with SIGINT or "
      "SIGTERM.");
  std::string listen = "0.0.0.0:48148";
  double peer_timeout_s = 3;
  std::string log_level = "ERR";
  app.add_option(
         "--listen-address,--listen", listen,
         "host:port or [v6 address]:port; the host may be a name (its IPv4 address is preferred)")
      ->capture_default_str();
  const CLI::Option* const peer_timeout =
      app.add_option("--peer-timeout", peer_timeout_s,
                     "seconds of silence after which a peer is removed (default: "
                     "PCCL_PEER_TIMEOUT, else 3)")
          ->check(CLI::Range(0.1, 3600.0));
  double straggler_timeout_s = 0;
  bool remove_stragglers = false;
  const CLI::Option* const straggler_timeout =
      app.add_option("--straggler-timeout", straggler_timeout_s,
                     "seconds without progress after which a living peer that others wait for is "
                     "reported in the log; 0: never (default: PCCL_STRAGGLER_TIMEOUT, else 0)")
          ->check(CLI::Range(0.0, 864000.0));
  app.add_flag("--remove-stragglers", remove_stragglers,
               "removes such a peer, too (default: PCCL_REMOVE_STRAGGLERS, else not)");
  const CLI::Option* const level =
      app.add_option("--log-level", log_level,
                     "what to log on stderr (default: PCCL_LOG_LEVEL, else ERR)")
          ->check(CLI::IsMember({"TRACE", "DEBUG", "INFO", "WARN", "ERR", "FATAL", "NONE"}));
  bool accept_restored = false;
  app.add_flag("--accept-restored-state", accept_restored,
               "when the last holder of the due revision of a shared state is gone, let peers that "
               "agree on another revision, e.g. restored from a checkpoint, go on from that");
  std::string state_file;
  app.add_option("--state-file", state_file,
                 "keeps there who is in the run, so that this master, when it is started again, "
                 "knows whom to wait for (default: PCCL_STATE_FILE, else none)");
  app.set_version_flag("--version", std::string("pccl-master ") + pcclGetVersion());
  CLI11_PARSE(app, argc, argv);

  // The library reads its environment when a master is made.
  if (peer_timeout->count() > 0)
    setenv("PCCL_PEER_TIMEOUT", std::to_string(peer_timeout_s).c_str(), 1);
  if (accept_restored) setenv("PCCL_ACCEPT_RESTORED_STATE", "1", 1);
  if (straggler_timeout->count() > 0)
    setenv("PCCL_STRAGGLER_TIMEOUT", std::to_string(straggler_timeout_s).c_str(), 1);
  if (remove_stragglers) setenv("PCCL_REMOVE_STRAGGLERS", "1", 1);
  if (!state_file.empty()) setenv("PCCL_STATE_FILE", state_file.c_str(), 1);
  if (level->count() > 0) setenv("PCCL_LOG_LEVEL", log_level.c_str(), 1);
  return run(listen);
}
