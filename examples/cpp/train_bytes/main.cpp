// train_bytes: train a small language model together with whoever else is in the run.
//
//   pccl-master &
//   train_bytes --master 127.0.0.1:48148 --name alice &
//   train_bytes --master 127.0.0.1:48148 --name bob
//
// model, optimizer, text_data and diloco are the training; group and run are the communication.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "address.hpp"
#include "diloco.hpp"
#include "run.hpp"
#include "text_data.hpp"

namespace {

using namespace train_bytes;

struct Options {
  std::string master = "127.0.0.1";
  std::vector<std::filesystem::path> data;
  DiLoCo::Settings training{.seed = std::random_device{}()};
  RunOptions run;
};

Options parse(int argc, char** argv) {
  Options options;
  options.run.name = "peer";
  CLI::App app{
      "Trains a byte-level language model with DiLoCo, together with whoever is in the run."};
  app.add_option("--master", options.master, "host:port of pccl-master; IPv6 as [::1]:port")
      ->capture_default_str();
  app.add_option("--name", options.run.name, "how this peer signs its lines")
      ->capture_default_str();
  app.add_option("--data", options.data,
                 "text files to train on (default: those in /usr/share/common-licenses)");
  app.add_option("--steps", options.run.steps, "outer step at which everybody stops")
      ->capture_default_str();
  app.add_option("--inner-steps", options.training.inner_steps, "local steps per outer step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--batch", options.training.batch, "windows of text per local step")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.training.seed, "of the text this peer sees (default: random)");
  app.add_option("--start-peers", options.run.start_peers,
                 "wait for this many before the first step")
      ->capture_default_str();
  app.add_option("--report-every", options.run.report_every,
                 "outer steps between lines of progress")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--group", options.run.peer_group, "peers of one group train one model")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (options.data.empty()) options.data = regular_files("/usr/share/common-licenses");
  options.run.master_addresses = resolve(options.master);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Options options = parse(argc, argv);
    const TextData text(options.data);
    DiLoCo training(text, options.training);
    const RunReport report = Run(training, options.run).train();
    std::printf("RESULT name=%s first_loss=%.3f last_loss=%.3f steps=%u peers_seen=%llu hash=%s\n",
                options.run.name.c_str(), report.first_loss, report.last_loss, report.steps_taken,
                static_cast<unsigned long long>(report.peers_seen),
                training.state().parameter_hash().c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_bytes: %s\n", error.what());
    return 1;
  }
}
