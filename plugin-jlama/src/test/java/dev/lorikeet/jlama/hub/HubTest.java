package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.util.Downloader;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What a download brings, where it goes, and who finds it there. */
class HubTest extends Downloads {

  @Test
  void aModelComesOnceAndIsFoundAfterwards() throws IOException {
    assertDownloaded(hub().build().model(MODEL));
    assertArrayEquals(CONFIG, Files.readAllBytes(directory().resolve("config.json")));
    int requests = server.requests.size();
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(requests, server.requests.size());
    assertDownloaded(hub().offline(true).build().model(MODEL));
  }

  @Test
  void jlamaItselfFindsWhatWasDownloaded() throws IOException {
    Path directory = hub().build().model(MODEL);
    assertEquals(
        directory.toFile(), new Downloader(folder().toString(), "some/model").huggingFaceModel());
    assertTrue(SafeTensorSupport.isModelLocal(directory));
  }

  @Test
  void theTinyModelAndItsAdapterComeAndCanBeRead() throws IOException {
    TinyModel tiny = TinyModel.extract();
    server.put("tiny/base", tiny.base());
    server.put("tiny/voyage", tiny.adapter("voyage"));
    Hub hub = hub().build();
    Path base = hub.model(ModelName.parse("tiny/base"));
    assertEquals(
        new JlamaModelProvider().describe(tiny.base()).shape(),
        new JlamaModelProvider().describe(base).shape());
    Path adapter = hub.adapter(ModelName.parse("tiny/voyage"));
    assertEquals(folder().resolve("tiny_voyage"), adapter);
    assertEquals(
        Set.of(".finished", ".lock", "adapter_config.json", "adapter_model.safetensors"),
        names(adapter));
  }

  private static Set<String> names(Path directory) throws IOException {
    try (var files = Files.list(directory)) {
      return files
          .map(file -> file.getFileName().toString())
          .collect(Collectors.toCollection(TreeSet::new));
    }
  }

  @Test
  void shardsComeWithTheirIndexAndNothingElseDoes() throws IOException {
    byte[] shard = weights(10);
    String index =
        "{\"weight_map\": {\"w\": \"model-1-of-2.safetensors\", \"x\": \"model-2-of-2.safetensors\"}}";
    server
        .put("big/model", "config.json", CONFIG, false)
        .put("big/model", "generation_config.json", CONFIG, false)
        .put("big/model", "tokenizer.json", CONFIG, true)
        .put("big/model", "tokenizer_config.json", CONFIG, false)
        .put("big/model", "chat_template.jinja", CONFIG, false)
        .put("big/model", "model.safetensors.index.json", index.getBytes(UTF_8), false)
        .put("big/model", "model-1-of-2.safetensors", shard, true)
        .put("big/model", "model-2-of-2.safetensors", weights("x", 10), true)
        .put("big/model", "consolidated.safetensors", shard, true)
        .put("big/model", "onnx/model.safetensors", shard, true)
        .put("big/model", "pytorch_model.bin", shard, true)
        .put("big/model", "training_args.bin", shard, true)
        .put("big/model", "modeling_big.py", CONFIG, false)
        .put("big/model", "README.md", CONFIG, false);
    assertEquals(
        Set.of(
            ".finished",
            ".lock",
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model-1-of-2.safetensors",
            "model-2-of-2.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "tokenizer_config.json"),
        names(hub().build().model(ModelName.parse("big/model"))));
  }

  @Test
  void anIndexThatNamesAMissingShardIsRefusedAndNotMarked() throws IOException {
    String index = "{\"weight_map\": {\"w\": \"model-1-of-2.safetensors\"}}";
    server
        .put("half/model", "config.json", CONFIG, false)
        .put("half/model", "tokenizer.json", CONFIG, false)
        .put("half/model", "model.safetensors.index.json", index.getBytes(UTF_8), false);
    var error =
        assertThrows(
            LorikeetException.class, () -> hub().build().model(ModelName.parse("half/model")));
    assertEquals(Code.MODEL_INVALID, error.code());
    assertFalse(Files.exists(folder().resolve("half_model/.finished")));
  }

  @Test
  void aRepositoryWithoutSafetensorsIsUnsupported() {
    server
        .put("old/model", "config.json", CONFIG, false)
        .put("old/model", "pytorch_model.bin", CONFIG, true);
    var error =
        assertThrows(
            LorikeetException.class, () -> hub().build().model(ModelName.parse("old/model")));
    assertEquals(Code.MODEL_UNSUPPORTED, error.code());
    assertTrue(error.getMessage().contains("pytorch_model.bin"), error.getMessage());
    error =
        assertThrows(
            LorikeetException.class, () -> hub().build().adapter(ModelName.parse("old/model")));
    assertEquals(Code.ADAPTER_UNSUPPORTED, error.code());
  }

  @Test
  void aRevisionHasItsOwnDirectory() {
    Path directory = hub().build().model(ModelName.parse("some/model@refs/pr/3"));
    assertEquals(folder().resolve("some_model@refs%2Fpr%2F3"), directory);
    assertEquals(
        "/api/models/some/model/revision/refs%2Fpr%2F3", server.requests.getFirst().path());
  }

  @Test
  void theTokenGoesToTheHubAndNowhereElse() throws IOException {
    assertDownloaded(hub().token("secret").build().model(MODEL));
    var elsewhere =
        server.requests.stream().filter(request -> request.server().equals("localhost")).toList();
    assertFalse(elsewhere.isEmpty());
    for (HubServer.Request request : server.requests) {
      String expected = elsewhere.contains(request) ? "" : "Bearer secret";
      assertEquals(expected, request.header("Authorization"), request.path());
    }
  }

  @Test
  void progressTellsOfEveryFileFromBeginningToEnd() {
    List<String> told = new ArrayList<>();
    DownloadProgress progress =
        new DownloadProgress() {
          @Override
          public void begin(ModelName name, Path directory, int files, long bytes) {
            told.add(name + " " + files + " " + bytes);
          }

          @Override
          public void update(String file, long done, long size) {
            if (done == 0 || done == size) {
              told.add(file + " " + done + "/" + size);
            }
          }
        };
    hub().progress(progress).build().model(MODEL);
    assertEquals(
        List.of(
            "some/model 3 " + (CONFIG.length + 2 + WEIGHTS.length),
            "config.json 0/" + CONFIG.length,
            "config.json " + CONFIG.length + "/" + CONFIG.length,
            "tokenizer.json 0/2",
            "tokenizer.json 2/2",
            "model.safetensors 0/" + WEIGHTS.length,
            "model.safetensors " + WEIGHTS.length + "/" + WEIGHTS.length),
        told);
  }

  @Test
  void aPathIsANameOnlyWhereThereIsNoSuchFile() throws IOException {
    Path here = write("adapter.arrow", CONFIG);
    assertEquals(here, hub().build().adapterDirectory(here));
    assertEquals(Path.of("nothing"), hub().build().modelDirectory(Path.of("nothing")));
    assertDownloaded(hub().build().modelDirectory(Path.of("some/model")));
    var error =
        assertThrows(
            LorikeetException.class, () -> hub().build().adapterDirectory(Path.of("my/adapter")));
    assertEquals(Code.ADAPTER_NOT_FOUND, error.code());
    assertTrue(error.getMessage().startsWith("my/adapter: no such directory; http"));
  }

  @Test
  void anotherRepositorysDirectoryIsNotOverwritten() throws IOException {
    write("models/some_model/.finished", "some_model/x 0123\n".getBytes(UTF_8));
    assertRefused(Code.DOWNLOAD_FAILED, "some_model: expected some/model, found another");
  }

  @Test
  void offlineNothingIsAsked() {
    assertRefused(hub().offline(true).build(), Code.MODEL_NOT_FOUND, "some/model", "offline");
    assertEquals(List.of(), server.requests);
  }
}
