/** The LoRA executor for NVIDIA GPUs: found as a service; exports nothing. */
module dev.lorikeet.cuda {
  requires dev.lorikeet.spi;
  requires static org.jspecify;

  provides dev.lorikeet.executor.LoraExecutorProvider with
      dev.lorikeet.cuda.lora.CudaLoraExecutorProvider;
}
