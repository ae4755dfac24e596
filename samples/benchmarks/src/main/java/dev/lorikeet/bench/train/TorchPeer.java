package dev.lorikeet.bench.train;

import dev.lorikeet.bench.process.Contestant;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.bench.train.LearnerProcess.Answer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** PyTorch, where a Python has it. */
final class TorchPeer {
  private static final String SCRIPT = "torch_peer.py";

  private final Path script;
  private final String python;
  private final String model;
  private final int threads;
  private final Path log;

  /**
   * How PyTorch is set.
   *
   * @param precision of weights and activations
   * @param environment variables that choose its kernels
   */
  record Settings(String precision, Map<String, String> environment) {
    @Override
    public String toString() {
      return precision + (environment.isEmpty() ? "" : " " + environment);
    }
  }

  /** What it is told first. */
  private record Opening(String model, int threads, String precision) {}

  /**
   * Creates the peer.
   *
   * @param folder where the script is put
   * @param log where its error output goes
   */
  TorchPeer(Path folder, String python, Path model, int threads, Path log) throws IOException {
    this.script = folder.resolve(SCRIPT);
    this.python = python;
    this.model = model.toString();
    this.threads = threads;
    this.log = log;
    try (InputStream in = TorchPeer.class.getResourceAsStream(SCRIPT)) {
      if (in == null) {
        throw new IOException(SCRIPT + ": expected it among the classes, found none");
      }
      Files.copy(in, script, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /**
   * Returns what is tried. OpenBLAS, which multiplies in f32, does not know every processor and may
   * then take older instructions; products of bf16 are oneDNN's.
   */
  static List<Settings> candidates() {
    return List.of(
        new Settings("f32", Map.of()),
        new Settings("f32", Map.of("OPENBLAS_CORETYPE", "SkylakeX")),
        new Settings("bf16", Map.of()));
  }

  Contestant start(Settings settings) throws IOException, NotAvailable {
    Map<String, String> environment = new HashMap<>(settings.environment());
    environment.put("OMP_NUM_THREADS", Integer.toString(threads));
    Contestant process;
    try {
      process = Contestant.start(List.of(python, script.toString()), environment, log);
    } catch (IOException e) {
      throw new NotAvailable(String.valueOf(e.getMessage()));
    }
    try {
      process.ask(new Opening(model, threads, settings.precision()), Answer.class);
      return process;
    } catch (IOException | NotAvailable | RuntimeException e) {
      process.close();
      throw e;
    }
  }
}
