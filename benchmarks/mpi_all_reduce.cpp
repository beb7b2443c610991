// Open MPI's MPI_Allreduce as a conducted member (common/conducted.hpp):
//   mpirun -np 2 --mca btl tcp,self ... mpi_all_reduce @CONTROL
#include <mpi.h>

#include <cstdio>

#include "common/conducted.hpp"

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  bench::MemberOptions options;
  MPI_Comm_rank(MPI_COMM_WORLD, &options.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &options.world);
  if (argc != 2) {
    std::fprintf(stderr, "usage: mpi_all_reduce CONTROL\n");
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  options.control = argv[1];
  bench::FloatSum workload(options.rank, options.world, [](const bench::FloatCall& call) {
    const void* const input = call.input == call.output ? MPI_IN_PLACE : call.input;
    MPI_Allreduce(input, call.output, static_cast<int>(call.count), MPI_FLOAT, MPI_SUM,
                  MPI_COMM_WORLD);
  });
  MPI_Barrier(MPI_COMM_WORLD);  // connections are made at first use
  bench::serve(options, workload);
  MPI_Finalize();
}
