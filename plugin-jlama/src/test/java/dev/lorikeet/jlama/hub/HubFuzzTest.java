package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.Mutations;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Random damage to what the hub answers and to what says where its models lie: refused as the API
 * says, or taken for what it is, and nothing is written outside the folder. More of it with {@code
 * -Dlorikeet.fuzz.mutations=N}, the same again with {@code -Dlorikeet.fuzz.seed=N}.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class HubFuzzTest extends Downloads {
  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 400);

  /** How many listings are only read for one that is also downloaded from. */
  private static final int READ_ONLY = 20;

  private static final String LISTING =
      """
      {"sha": "%s", "private": false, "siblings": [
        {"rfilename": "config.json", "size": 23, "blobId": "%s"},
        {"rfilename": "tokenizer.json", "size": 2},
        {"rfilename": "model.safetensors", "size": 800068, "lfs": {"size": 800068, "sha256": "%s"}},
        {"rfilename": "a folder/README.md", "size": 1}]}
      """
          .formatted(HubServer.COMMIT, "0".repeat(40), HubServer.hash("SHA-256", WEIGHTS));

  private final long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final Mutations mutations = new Mutations(random);

  private interface Use {
    void run() throws IOException;
  }

  /** Returns whether it was taken; fails if it ends in anything but the one exception. */
  private boolean taken(byte[] changed, Use use) throws IOException {
    try {
      use.run();
      return true;
    } catch (LorikeetException e) {
      assertTrue(e.code() != Code.INTERNAL, () -> told(changed) + e);
      return false;
    } catch (RuntimeException | Error e) {
      throw new AssertionError(told(changed), e);
    }
  }

  private String told(byte[] changed) {
    return "seed " + seed + ": " + new String(changed, UTF_8) + " ";
  }

  @Test
  void listings() throws IOException {
    byte[] original = LISTING.getBytes(UTF_8);
    int taken = 0;
    for (int n = 0; n < MUTATIONS; n++) {
      byte[] changed = mutations.json(original);
      taken += taken(changed, () -> HubListing.parse("listing", changed)) ? 1 : 0;
      if (n % READ_ONLY == 0) {
        server.requests.clear();
        server.once(HubServer.listing("some/model"), HubServer.bytes(changed));
        taken(changed, () -> hub().build().model(MODEL));
        assertEquals(List.of(), outside(), () -> told(changed));
        delete(folder());
      }
    }
    assertTrue(taken > 0 && taken < MUTATIONS, taken + " taken, seed " + seed);
  }

  private List<Path> outside() throws IOException {
    try (Stream<Path> files = Files.list(temporary)) {
      return files.filter(file -> !file.equals(folder())).toList();
    }
  }

  private static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted((a, b) -> b.getNameCount() - a.getNameCount()).toList()) {
          Files.delete(file);
        }
      }
    }
  }

  @Test
  void markersReferencesAndTokens() throws IOException {
    Path cache = temporary.resolve("hub");
    ModelFolders folders = new ModelFolders(List.of(folder()), Optional.of(cache));
    String repository = "hub/models--some--model/";
    for (String place :
        List.of("models/some_model", repository + "snapshots/" + HubServer.COMMIT)) {
      write(place + "/config.json", CONFIG);
      write(place + "/tokenizer.json", "{}".getBytes(UTF_8));
      write(place + "/model.safetensors", WEIGHTS);
    }
    Path marker =
        write(
            "models/some_model/.finished",
            ("some/model " + HubServer.COMMIT + "\n").getBytes(UTF_8));
    Path reference = write(repository + "refs/main", (HubServer.COMMIT + "\n").getBytes(UTF_8));
    Path token = write("token", "hf_abcdefghijklmnop\n".getBytes(UTF_8));
    HubEnvironment environment =
        new HubEnvironment(Map.of("HF_TOKEN_PATH", token.toString()), new Properties());
    for (Path file : List.of(marker, reference, token)) {
      byte[] original = Files.readAllBytes(file);
      for (int n = 0; n < MUTATIONS; n++) {
        byte[] changed = mutations.bytes(original);
        Files.write(file, changed);
        taken(
            changed,
            () -> {
              Optional<Path> found = folders.model(MODEL);
              assertTrue(
                  found.isEmpty() || found.get().toRealPath().startsWith(temporary.toRealPath()),
                  () -> told(changed) + found);
              environment.token();
            });
      }
      Files.write(file, original);
      Files.deleteIfExists(marker); // so that the cache's copy is looked for
    }
  }

  @Test
  void partsThatWereLeft() throws IOException {
    Path part =
        write(
            "models/some_model/model.safetensors."
                + HubServer.hash("SHA-256", WEIGHTS).substring(0, 12)
                + ".part",
            new byte[0]);
    for (int n = 0; n < Math.min(MUTATIONS, 2_000) / READ_ONLY; n++) {
      byte[] begun = Arrays.copyOf(WEIGHTS, random.nextInt(WEIGHTS.length + 1));
      byte[] left = random.nextBoolean() ? begun : mutations.bytes(begun);
      Files.createDirectories(part.getParent());
      Files.write(part, left);
      server.requests.clear();
      assertEquals(directory(), hub().build().model(MODEL), "seed " + seed);
      assertEquals(-1, Arrays.mismatch(WEIGHTS, Files.readAllBytes(weightsFile())), "seed " + seed);
      delete(folder());
    }
  }
}
