package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names in place of directories, with a server on this machine as the hub. */
class PullCommandTest {
  private static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";
  private static final TinyModel TINY = TinyModel.extract();

  @TempDir Path temporary;
  private final List<String> requests = new CopyOnWriteArrayList<>();
  private final Map<String, Path> repositories =
      Map.of("tiny/base", TINY.base(), "tiny/voyage", TINY.adapter("voyage"));
  private HttpServer server;

  PullCommandTest() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
  }

  @BeforeEach
  void start() {
    server.createContext("/", this::answer);
    server.start();
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  private void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    requests.add(path);
    try (exchange) {
      for (var repository : repositories.entrySet()) {
        String resolve = "/" + repository.getKey() + "/resolve/" + COMMIT + "/";
        if (path.equals("/api/models/" + repository.getKey() + "/revision/main")) {
          send(exchange, listing(repository.getValue()));
          return;
        }
        if (path.startsWith(resolve)) {
          Path file = repository.getValue().resolve(path.substring(resolve.length()));
          send(exchange, Files.readAllBytes(file));
          return;
        }
      }
      exchange.sendResponseHeaders(404, -1);
    }
  }

  private static void send(HttpExchange exchange, byte[] bytes) throws IOException {
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes);
  }

  private static byte[] listing(Path directory) throws IOException {
    ObjectMapper json = new ObjectMapper();
    ObjectNode answer = json.createObjectNode().put("sha", COMMIT);
    ArrayNode siblings = answer.putArray("siblings");
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        siblings
            .addObject()
            .put("rfilename", file.getFileName().toString())
            .put("size", Files.size(file));
      }
    }
    return json.writeValueAsBytes(answer);
  }

  private Path folder() {
    return temporary.resolve("models");
  }

  private Run lorikeet(String... args) {
    return Run.in(
        Map.of(
            "HF_ENDPOINT",
            "http://127.0.0.1:" + server.getAddress().getPort(),
            "JLAMA_MODEL_HOME",
            folder().toString(),
            "HF_HOME",
            temporary.resolve("hf").toString()),
        Plugins::discover,
        args);
  }

  @Test
  void aModelAndItsAdapterArePulledAndTold() {
    Run pull = lorikeet("pull", "tiny/base", "--adapter", "tiny/voyage");
    assertEquals(ExitCode.OK, pull.exitCode(), pull::err);
    assertEquals(
        "tiny/base is in "
            + folder().resolve("tiny_base")
            + "\ntiny/voyage is in "
            + folder().resolve("tiny_voyage")
            + "\n",
        pull.out());
    assertTrue(pull.err().contains("tiny/base -> " + folder().resolve("tiny_base")), pull::err);
    assertTrue(pull.err().contains("  model.safetensors: "), pull::err);
    int before = requests.size();
    Run again = lorikeet("pull", "tiny/base", "--adapter", "tiny/voyage", "--json");
    assertEquals(before, requests.size());
    assertEquals("tiny/base", again.json().at("/model/name").asText());
    assertEquals(
        folder().resolve("tiny_voyage").toString(), again.json().at("/adapters/0/path").asText());
    assertEquals("", again.err());
  }

  @Test
  void namesAreTakenWhereDirectoriesAre() {
    Run run = generate("tiny/base", "tiny/voyage");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    Run same = generate(TINY.base().toString(), TINY.adapter("voyage").toString());
    assertEquals(same.json().at("/generations/0/ids"), run.json().at("/generations/0/ids"));
    assertEquals(
        folder().resolve("tiny_base").toString(), run.json().at("/model/directory").asText());
    Run inspect = lorikeet("adapters", "inspect", "tiny/voyage", "--model", "tiny/base");
    assertEquals(ExitCode.OK, inspect.exitCode(), inspect::err);
    Path arrow = temporary.resolve("v.arrow");
    Run convert =
        lorikeet("adapters", "convert", "tiny/voyage", arrow.toString(), "-m", "tiny/base");
    assertEquals(ExitCode.OK, convert.exitCode(), convert::err);
  }

  private Run generate(String model, String adapter) {
    return lorikeet(
        "generate",
        "--model=" + model,
        "--adapter=v=" + adapter,
        "--prompt=The ship",
        "--max-tokens=4",
        "--threads=1",
        "--json");
  }

  @Test
  void aFolderOfOnesOwnIsUsed() {
    Path own = temporary.resolve("own");
    Run pull = lorikeet("pull", "--adapter", "tiny/voyage", "--folder", own.toString());
    assertEquals(ExitCode.OK, pull.exitCode(), pull::err);
    assertTrue(Files.exists(own.resolve("tiny_voyage/adapter_model.safetensors")));
    assertFalse(Files.exists(folder()));
  }

  @Test
  void whatNobodyKnowsIsSaid() {
    Run run = lorikeet("generate", "-m", "no/model", "-p", "x");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(
        run.err().startsWith("lorikeet: MODEL_NOT_FOUND: no/model: no such directory; http"),
        run::err);
    run = lorikeet("pull", "--adapter", "no/adapter");
    assertTrue(run.err().startsWith("lorikeet: ADAPTER_NOT_FOUND: http"), run::err);
    run = lorikeet("pull", "tiny/base", "--revision", "v9");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.err().contains("/revision/v9"), run::err);
  }

  @Test
  void wrongNamesAreWrongUsage() {
    for (String[] args :
        List.of(
            new String[] {"pull"},
            new String[] {"pull", "base"},
            new String[] {"pull", "../base"},
            new String[] {"pull", "tiny/base@v1", "--revision", "v2"},
            new String[] {"pull", "--adapter", "a/b/c"})) {
      Run run = lorikeet(args);
      assertEquals(ExitCode.USAGE, run.exitCode(), run::err);
    }
    assertEquals(List.of(), requests);
  }
}
