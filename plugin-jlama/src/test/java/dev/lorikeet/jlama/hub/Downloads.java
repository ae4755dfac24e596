package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/** A hub with one small model, and what tests of downloads ask again and again. */
abstract class Downloads {
  static final ModelName MODEL = ModelName.parse("some/model");
  static final String CDN = "/cdn/model.safetensors";
  static final byte[] CONFIG = "{\"model_type\": \"llama\"}".getBytes(UTF_8);
  static final byte[] WEIGHTS = weights(200_000);

  @TempDir Path temporary;
  final HubServer server = new HubServer();
  final List<Duration> pauses = new CopyOnWriteArrayList<>();
  final List<String> waits = new CopyOnWriteArrayList<>();

  Downloads() {
    server
        .put("some/model", "config.json", CONFIG, false)
        .put("some/model", "tokenizer.json", "{}".getBytes(UTF_8), false)
        .put("some/model", "model.safetensors", WEIGHTS, true);
  }

  @AfterEach
  void stop() {
    server.close();
  }

  Path folder() {
    return temporary.resolve("models");
  }

  Path directory() {
    return folder().resolve("some_model");
  }

  Path weightsFile() {
    return directory().resolve("model.safetensors");
  }

  Hub.Builder hub() {
    return new Hub.Builder(new HubEnvironment(Map.of(), new Properties()))
        .folders(ModelFolders.of(folder()))
        .endpoint(server.endpoint())
        .patience(patience(Duration.ofMinutes(1)))
        .progress(listener());
  }

  Patience patience(Duration stall) {
    return new Patience(stall, stall, stall, 4, Duration.ofMinutes(5), pauses::add);
  }

  DownloadProgress listener() {
    return new DownloadProgress() {
      @Override
      public void update(String file, long done, long size) {}

      @Override
      public void waiting(String reason) {
        waits.add(reason);
      }
    };
  }

  void assertRefused(Code code, String... words) {
    assertRefused(hub().build(), code, words);
  }

  static void assertRefused(Hub hub, Code code, String... words) {
    var error = assertThrows(LorikeetException.class, () -> hub.model(MODEL));
    assertEquals(code, error.code(), error.getMessage());
    for (String word : words) {
      assertTrue(error.getMessage().contains(word), error.getMessage());
    }
  }

  void assertDownloaded(Path path) throws IOException {
    assertEquals(directory(), path);
    assertEquals(-1, Files.mismatch(weightsFile(), write("expected", WEIGHTS)));
    assertTrue(Files.exists(directory().resolve(".finished")));
    try (var files = Files.list(directory())) {
      assertEquals(0, files.filter(file -> file.toString().endsWith("part")).count());
    }
  }

  Path write(String name, byte[] bytes) throws IOException {
    Path file = temporary.resolve(name);
    Files.createDirectories(file.getParent());
    return Files.write(file, bytes);
  }

  static byte[] weights(int numbers) {
    return weights("w", numbers);
  }

  /** Returns a safetensors file with one tensor of random numbers. */
  static byte[] weights(String tensor, int numbers) {
    String header =
        "{\""
            + tensor
            + "\":{\"dtype\":\"F32\",\"shape\":["
            + numbers
            + "],\"data_offsets\":[0,"
            + 4 * numbers
            + "]}}";
    byte[] data = new byte[4 * numbers];
    new Random(numbers).nextBytes(data);
    return ByteBuffer.allocate(8 + header.length() + data.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(header.length())
        .put(header.getBytes(UTF_8))
        .put(data)
        .array();
  }
}
