package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which directories are found by name: Jlama's, and those of Hugging Face's cache. */
class ModelFoldersTest {
  private static final ModelName NAME = ModelName.parse("some/model");
  private static final byte[] WEIGHTS = Downloads.weights(10);
  private static final String COMMIT = HubServer.COMMIT;

  @TempDir Path temporary;
  private Path jlama;
  private Path cache;

  @BeforeEach
  void makeFolders() throws IOException {
    jlama = Files.createDirectories(temporary.resolve("jlama"));
    cache = Files.createDirectories(temporary.resolve("hub"));
  }

  private ModelFolders folders() {
    return new ModelFolders(List.of(jlama, temporary.resolve("second")), Optional.of(cache));
  }

  private Path write(Path file, byte[] bytes) throws IOException {
    Files.createDirectories(file.getParent());
    return Files.write(file, bytes);
  }

  private Path writeModel(Path directory) throws IOException {
    write(directory.resolve("config.json"), "{}".getBytes(UTF_8));
    write(directory.resolve("tokenizer.json"), "{}".getBytes(UTF_8));
    write(directory.resolve("model.safetensors"), WEIGHTS);
    return directory;
  }

  @Test
  void whatJlamaDownloadedIsFound() throws IOException {
    Path directory =
        writeModel(SafeTensorSupport.constructLocalModelPath(jlama.toString(), "some", "model"));
    Files.createFile(directory.resolve(".finished"));
    assertEquals(Optional.of(directory), folders().model(NAME));
    assertEquals(Optional.empty(), folders().adapter(NAME));
    assertEquals(Optional.empty(), folders().model(ModelName.parse("some/model@v2")));
    assertEquals(Optional.empty(), folders().model(ModelName.parse("some/other")));
  }

  @Test
  void whatAKilledDownloadLeftBehindItsLastFileIsCleared() throws IOException {
    Path directory =
        writeModel(SafeTensorSupport.constructLocalModelPath(jlama.toString(), "some", "model"));
    Files.createFile(directory.resolve(".finished"));
    Path left = Files.createDirectory(directory.resolve(".lorikeet-work-left"));
    Files.createFile(left.resolve("lock"));
    Files.createFile(left.resolve("file"));
    assertEquals(Optional.of(directory), folders().model(NAME));
    assertFalse(Files.exists(left));
  }

  @Test
  void theSecondFolderIsLookedIntoToo() throws IOException {
    Path directory = writeModel(temporary.resolve("second/some_model"));
    assertEquals(Optional.of(directory), folders().model(NAME));
  }

  @Test
  void withoutAMarkerAModelCountsIfItIsWhole() throws IOException {
    Path directory = writeModel(jlama.resolve("some_model"));
    assertEquals(Optional.of(directory), folders().model(NAME));
    write(directory.resolve("model.safetensors"), Arrays.copyOf(WEIGHTS, WEIGHTS.length - 1));
    assertEquals(Optional.empty(), folders().model(NAME));
    writeModel(directory);
    write(directory.resolve("tokenizer.json"), "{\"a\": ".getBytes(UTF_8));
    assertEquals(Optional.empty(), folders().model(NAME));
    Files.createFile(directory.resolve(".finished"));
    assertEquals(Optional.of(directory), folders().model(NAME));
    Files.delete(directory.resolve("tokenizer.json"));
    assertEquals(Optional.empty(), folders().model(NAME));
  }

  @Test
  void aMarkedDirectoryWithoutWeightsDoesNotCount() throws IOException {
    Path directory = writeModel(jlama.resolve("some_model"));
    Files.createFile(directory.resolve(".finished"));
    Files.delete(directory.resolve("model.safetensors"));
    assertEquals(Optional.empty(), folders().model(NAME));
    write(
        directory.resolve("model.safetensors.index.json"),
        "{\"weight_map\": {\"w\": \"model-1-of-1.safetensors\"}}".getBytes(UTF_8));
    assertEquals(Optional.empty(), folders().model(NAME));
    write(directory.resolve("model-1-of-1.safetensors"), WEIGHTS);
    assertEquals(Optional.of(directory), folders().model(NAME));
  }

  @Test
  void namesThatShareADirectoryAreNotMistaken() throws IOException {
    ModelName one = ModelName.parse("a_b/c");
    ModelName other = ModelName.parse("a/b_c");
    Path directory = writeModel(jlama.resolve("a_b_c"));
    FinishedMarker.write(directory, one, COMMIT);
    assertEquals(Optional.of(directory), folders().model(one));
    assertEquals(Optional.empty(), folders().model(other));
  }

  /** Lays a directory out as the cache does: files by hash, and a snapshot of links to them. */
  private Path cached(Path source) throws IOException {
    Path repository = cache.resolve("models--some--model");
    Path snapshot = Files.createDirectories(repository.resolve("snapshots/" + COMMIT));
    Path blobs = Files.createDirectories(repository.resolve("blobs"));
    write(repository.resolve("refs/main"), COMMIT.getBytes(UTF_8));
    try (DirectoryStream<Path> files = Files.newDirectoryStream(source)) {
      for (Path file : files) {
        byte[] bytes = Files.readAllBytes(file);
        Path blob = write(blobs.resolve(HubServer.hash("SHA-256", bytes)), bytes);
        Path link = snapshot.resolve(file.getFileName().toString());
        Files.createSymbolicLink(link, snapshot.relativize(blob));
      }
    }
    return snapshot;
  }

  @Test
  void theCacheOfHuggingFaceIsFoundAndLoads() throws IOException {
    TinyModel tiny = TinyModel.extract();
    Path snapshot = cached(tiny.base());
    assertEquals(Optional.of(snapshot), folders().model(NAME));
    assertEquals(Optional.of(snapshot), folders().model(ModelName.parse("some/model@" + COMMIT)));
    assertEquals(Optional.empty(), folders().model(ModelName.parse("some/model@v2")));
    assertEquals(snapshot, folders().modelDirectory(Path.of("some/model")));
    assertEquals(
        new JlamaModelProvider().describe(tiny.base()).shape(),
        new JlamaModelProvider().describe(snapshot).shape());
  }

  @Test
  void aBrokenSnapshotDoesNotCount() throws IOException {
    Path snapshot = cached(writeModel(temporary.resolve("plain")));
    Files.delete(snapshot.resolve("model.safetensors").toRealPath());
    assertEquals(Optional.empty(), folders().model(NAME));
  }

  @Test
  void referencesThatAreNoCommitsAreNotFollowed() throws IOException {
    cached(writeModel(temporary.resolve("plain")));
    write(cache.resolve("models--some--model/refs/main"), "../../elsewhere".getBytes(UTF_8));
    assertEquals(Optional.empty(), folders().model(NAME));
  }

  @Test
  void linksOutOfTheCacheAreRefused() throws IOException {
    Path plain = writeModel(temporary.resolve("plain"));
    Path snapshot = cached(plain);
    Path other = writeModel(cache.resolve("models--other--model/blobs"));
    assertLinkRefused(snapshot.resolve("model.safetensors"), other.resolve("model.safetensors"));
    assertLinkRefused(snapshot.resolve("model.safetensors"), plain.resolve("model.safetensors"));
    assertLinkRefused(snapshot.resolve("model.safetensors"), temporary.resolve("nothing"));
  }

  @Test
  void elsewhereWeightsMayBeLinksAndTextsMustBeOfTheDirectory() throws IOException {
    Path plain = writeModel(temporary.resolve("plain"));
    Path user = writeModel(temporary.resolve("user"));
    replaceByLink(user.resolve("model.safetensors"), plain.resolve("model.safetensors"));
    assertEquals(user, folders().modelDirectory(user));
    write(user.resolve("settings"), "{}".getBytes(UTF_8));
    replaceByLink(user.resolve("config.json"), Path.of("settings"));
    assertEquals(user, folders().modelDirectory(user));
    Path link = Files.createSymbolicLink(temporary.resolve("link"), user);
    assertEquals(link, folders().modelDirectory(link));
    assertLinkRefused(user.resolve("config.json"), plain.resolve("config.json"));
  }

  private static void replaceByLink(Path file, Path target) throws IOException {
    Files.delete(file);
    Files.createSymbolicLink(file, target);
  }

  private static void assertLinkRefused(Path link, Path target) throws IOException {
    replaceByLink(link, target);
    Path directory = Optional.ofNullable(link.getParent()).orElseThrow();
    var error =
        assertThrows(LorikeetException.class, () -> new JlamaModelProvider().describe(directory));
    assertEquals(Code.MODEL_INVALID, error.code());
    assertTrue(error.getMessage().contains(link + ": expected a file"), error.getMessage());
  }

  @Test
  void aNameThatIsNowhereIsSaidWithThePlacesLookedAt() {
    var error =
        assertThrows(
            LorikeetException.class, () -> folders().modelDirectory(Path.of("some/model")));
    assertEquals(Code.MODEL_NOT_FOUND, error.code());
    for (Object word : List.of("some/model", jlama, cache, "pull")) {
      assertTrue(error.getMessage().contains(word.toString()), error.getMessage());
    }
    Path nothing = temporary.resolve("nothing");
    assertEquals(nothing, folders().modelDirectory(nothing));
  }

  @Test
  void theEnvironmentNamesTheFolders() {
    assertEquals(
        List.of(Path.of("/home/u/.jlama/models"), Path.of("models")), environment().jlamaFolders());
    assertEquals(List.of(Path.of("/m")), environment("JLAMA_MODEL_HOME", "/m").jlamaFolders());
    assertEquals(Path.of("/home/u/.cache/huggingface/hub"), environment().huggingFaceCache());
    assertEquals(
        Path.of("/x/huggingface/hub"), environment("XDG_CACHE_HOME", "/x").huggingFaceCache());
    assertEquals(
        Path.of("/home/u/hf/hub"),
        environment("HF_HOME", "~/hf", "XDG_CACHE_HOME", "/x").huggingFaceCache());
    assertEquals(
        Path.of("/c"), environment("HF_HUB_CACHE", "/c", "HF_HOME", "/h").huggingFaceCache());
    HubEnvironment jlama = environment();
    jlama.properties().setProperty("jlama.model.home", "/p");
    assertEquals(List.of(Path.of("/p")), jlama.jlamaFolders());
  }

  @Test
  void theEnvironmentGivesTheToken() throws IOException {
    Path file = write(temporary.resolve("hf/token"), "stored\n".getBytes(UTF_8));
    assertEquals(Optional.empty(), environment().token());
    assertEquals(
        Optional.of("stored"), environment("HF_HOME", temporary.resolve("hf").toString()).token());
    assertEquals(Optional.of("stored"), environment("HF_TOKEN_PATH", file.toString()).token());
    assertEquals(
        Optional.of("given"),
        environment("HF_TOKEN", " given ", "HF_TOKEN_PATH", file.toString()).token());
    HubEnvironment jlama = environment();
    jlama.properties().setProperty("huggingface.auth.token", "jlamas");
    assertEquals(Optional.of("jlamas"), jlama.token());
  }

  @Test
  void theEnvironmentNamesTheEndpoint() {
    assertEquals(HubEnvironment.PUBLIC_HUB, environment().endpoint().toString());
    assertEquals(
        "http://mirror/hf", environment("HF_ENDPOINT", "http://mirror/hf").endpoint().toString());
    assertTrue(environment("HF_HUB_OFFLINE", "1").offline());
  }

  private static HubEnvironment environment(String... pairs) {
    Properties properties = new Properties();
    properties.setProperty("user.home", "/home/u");
    Map<String, String> variables = new java.util.HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      variables.put(pairs[i], pairs[i + 1]);
    }
    return new HubEnvironment(variables, properties);
  }
}
