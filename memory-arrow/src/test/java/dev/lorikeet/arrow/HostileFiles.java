package dev.lorikeet.arrow;

import static dev.lorikeet.LorikeetException.Code.ADAPTER_INVALID;
import static dev.lorikeet.LorikeetException.Code.ADAPTER_UNSUPPORTED;
import static dev.lorikeet.arrow.HostileCase.CONFIG;
import static dev.lorikeet.arrow.HostileCase.WEIGHTS;
import static dev.lorikeet.arrow.HostileCase.files;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Files that are missing, cut, special or elsewhere. */
final class HostileFiles {
  private HostileFiles() {}

  static List<HostileCase> cases() {
    return List.of(
        files(
            "no folder",
            ADAPTER_INVALID,
            (path, w) -> {
              Files.delete(path.resolve(CONFIG));
              Files.delete(path.resolve(WEIGHTS));
              Files.delete(path);
            },
            "directory"),
        files(
            "no configuration", ADAPTER_INVALID, (p, w) -> Files.delete(p.resolve(CONFIG)), CONFIG),
        files("no weights", ADAPTER_INVALID, (p, w) -> Files.delete(p.resolve(WEIGHTS)), WEIGHTS),
        files(
            "weights as pickle only",
            ADAPTER_UNSUPPORTED,
            (p, w) -> Files.move(p.resolve(WEIGHTS), p.resolve("adapter_model.bin")),
            "adapter_model.bin",
            "pickle"),
        files(
            "weights empty",
            ADAPTER_INVALID,
            (p, w) -> write(p, new byte[0]),
            WEIGHTS,
            "truncated"),
        files("weights of 9 bytes", ADAPTER_INVALID, (p, w) -> write(p, new byte[9]), WEIGHTS),
        files(
            "weights cut in the header",
            ADAPTER_INVALID,
            (p, w) -> write(p, java.util.Arrays.copyOf(w.weights(), 100)),
            WEIGHTS,
            "header length"),
        files(
            "weights cut by a byte",
            ADAPTER_INVALID,
            (p, w) -> write(p, java.util.Arrays.copyOf(w.weights(), w.weights().length - 1)),
            WEIGHTS,
            "data_offsets"),
        files(
            "weights with a byte too many",
            ADAPTER_INVALID,
            (p, w) -> write(p, java.util.Arrays.copyOf(w.weights(), w.weights().length + 1)),
            WEIGHTS,
            "end the file"),
        files(
            "weights that are a folder",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(WEIGHTS));
              Files.createDirectory(p.resolve(WEIGHTS));
            },
            WEIGHTS,
            "a directory"),
        files(
            "weights that are a pipe",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(WEIGHTS));
              pipe(p.resolve(WEIGHTS));
            },
            WEIGHTS,
            "special file"),
        files(
            "weights linked out",
            ADAPTER_INVALID,
            (p, w) -> {
              Path out = p.resolveSibling(p.getFileName() + "-out.safetensors");
              Files.move(p.resolve(WEIGHTS), out);
              Files.createSymbolicLink(p.resolve(WEIGHTS), out);
            },
            WEIGHTS,
            "link"),
        files(
            "configuration linked out",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(CONFIG));
              Files.createSymbolicLink(p.resolve(CONFIG), Path.of("/etc/hostname"));
            },
            CONFIG,
            "link"),
        files(
            "weights linked in a circle",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(WEIGHTS));
              Files.createSymbolicLink(p.resolve(WEIGHTS), Path.of(WEIGHTS));
            },
            WEIGHTS),
        files(
            "weights linked to nothing",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(WEIGHTS));
              Files.createSymbolicLink(p.resolve(WEIGHTS), Path.of("nothing"));
            },
            WEIGHTS,
            "broken link"),
        files(
            "weights that are a device",
            ADAPTER_INVALID,
            (p, w) -> {
              Files.delete(p.resolve(WEIGHTS));
              Files.createSymbolicLink(p.resolve(WEIGHTS), Path.of("/dev/zero"));
            },
            WEIGHTS,
            "link"));
  }

  private static void write(Path adapter, byte[] bytes) throws IOException {
    Files.write(adapter.resolve(WEIGHTS), bytes);
  }

  private static void pipe(Path path) throws IOException {
    try {
      assertEquals(0, new ProcessBuilder("mkfifo", path.toString()).start().waitFor());
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }
}
