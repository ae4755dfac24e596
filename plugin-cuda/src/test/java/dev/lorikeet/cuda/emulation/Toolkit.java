package dev.lorikeet.cuda.emulation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/** A CUDA toolkit of the version that the bindings were made from. */
public final class Toolkit {
  private Toolkit() {}

  /** Returns the folder of its {@code cuda.h}, if it is installed. */
  public static Optional<Path> find() {
    return Stream.of(
            System.getenv().getOrDefault("CUDA_HOME", "/usr/local/cuda"), "/usr/local/cuda-13.0")
        .map(home -> Path.of(home, "include"))
        .filter(folder -> Files.exists(folder.resolve("cuda.h")))
        .findFirst();
  }

  /** Lets the C++ compiler judge a source that includes {@code cuda.h}. */
  public static void check(String source) throws IOException, InterruptedException {
    NativeCompiler.check(source, "-I" + find().orElseThrow());
  }
}
