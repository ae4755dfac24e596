package dev.lorikeet.host.serving;

/** The random workloads, with real numbers, kernels, files and store. */
class DecodedWorkloadTest extends WorkloadTest {
  @Override
  ServedModel model() {
    return RandomLlama.get();
  }

  @Override
  int workloads() {
    return 60;
  }
}
