package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AdaptersCommandTest {
  private static final TinyModel TINY = TinyModel.extract();

  private static final String LEFT_OUT = "layers.3.mlp.down_proj";

  @TempDir Path directory;

  private static Run lorikeet(Object... args) {
    String[] words = List.of(args).stream().map(Object::toString).toArray(String[]::new);
    return Run.with(Plugins::discover, "", words);
  }

  private Path adapter() {
    return TINY.adapter(TINY.adapterNames().getFirst());
  }

  @Test
  void aConvertedAdapterIsTheSameAdapter() {
    Path file = directory.resolve("a.arrow");
    Run convert = lorikeet("adapters", "convert", adapter(), file, "--model", TINY.base());
    assertEquals(ExitCode.OK, convert.exitCode(), convert::err);
    assertTrue(convert.out().contains(" modules, rank "), convert::out);
    JsonNode before = lorikeet("adapters", "inspect", adapter(), "--json").json();
    JsonNode after = lorikeet("adapters", "inspect", file, "--json").json();
    assertEquals("peft", before.at("/adapter/format").asText());
    assertEquals("arrow", after.at("/adapter/format").asText());
    assertEquals(before.get("targets"), after.get("targets"));
    assertEquals(before.at("/adapter/base_model"), after.at("/adapter/base_model"));
    assertEquals(before.at("/adapter/bytes"), after.at("/adapter/bytes"));
    assertTrue(after.get("targets").size() > 0);

    Run generate =
        lorikeet("generate", "-m", TINY.base(), "-a", "x=" + file, "-p", "The ship", "--json");
    Run same =
        lorikeet("generate", "-m", TINY.base(), "-a", "x=" + adapter(), "-p", "The ship", "--json");
    assertEquals(ExitCode.OK, generate.exitCode(), generate::err);
    assertEquals(same.json().at("/generations/0/ids"), generate.json().at("/generations/0/ids"));
  }

  @Test
  void aFileIsReplacedOnlyByForce() {
    Path file = directory.resolve("a.arrow");
    assertEquals(
        ExitCode.OK,
        lorikeet("adapters", "convert", adapter(), file, "-m", TINY.base()).exitCode());
    Run again = lorikeet("adapters", "convert", adapter(), file, "-m", TINY.base());
    assertEquals(ExitCode.USAGE, again.exitCode());
    assertTrue(again.err().contains("expected no file there, or --force"), again::err);
    Run forced = lorikeet("adapters", "convert", adapter(), file, "-m", TINY.base(), "--force");
    assertEquals(ExitCode.OK, forced.exitCode(), forced::err);
    Run wrong = lorikeet("adapters", "convert", adapter(), directory, "-m", TINY.base());
    assertEquals(ExitCode.USAGE, wrong.exitCode());
  }

  @Test
  void inspectionDrawsAlikeLayersTogether() {
    Run run = lorikeet("adapters", "inspect", adapter(), "--model", TINY.base());
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(run.out().contains("checked"), run::out);
    assertTrue(run.out().matches("(?s).*\\nq_proj +\\d+ x \\d+ .*"), run::out);
    assertTrue(run.out().contains("0-"), run::out);
  }

  @Test
  void aFileInAFolderThatIsNotThereYetIsWrittenWithIt() throws IOException {
    Path file = directory.resolve("new/folder/a.arrow");
    Run run = lorikeet("adapters", "convert", adapter(), file, "-m", TINY.base());
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertTrue(Files.size(file) > 0);
    Path within = file.resolve("b.arrow");
    Run refused = lorikeet("adapters", "convert", adapter(), within, "-m", TINY.base());
    assertEquals(ExitCode.FAILURE, refused.exitCode());
    assertTrue(refused.err().startsWith("lorikeet: IO_FAILED: "), refused::err);
  }

  @Test
  void allAdaptersBelowADirectoryAreListedAndDamagedOnesToldOf() throws IOException {
    Files.createDirectories(directory.resolve("deep/er"));
    lorikeet(
        "adapters", "convert", adapter(), directory.resolve("deep/er/a.arrow"), "-m", TINY.base());
    Path damaged = Files.createDirectory(directory.resolve("damaged"));
    Files.writeString(damaged.resolve("adapter_config.json"), "{");

    JsonNode found = lorikeet("adapters", "list", directory, "--json").json().get("adapters");
    assertEquals(2, found.size());
    assertEquals("ADAPTER_INVALID", found.at("/0/problem/code").asText());
    assertEquals("arrow", found.at("/1/adapter/format").asText());
    Run run = lorikeet("adapters", "list", directory);
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.out().contains("ADAPTER_INVALID: "), run::out);

    Path parent = adapter().getParent();
    Run all = lorikeet("adapters", "list", String.valueOf(parent));
    assertEquals(ExitCode.OK, all.exitCode(), all::err);
    assertEquals(1 + TINY.adapterNames().size(), all.out().lines().count(), all::out);
  }

  @Test
  void conversionClearsAwayWhatAKilledOneHasLeft() throws IOException {
    Path left = Files.createDirectory(directory.resolve(".lorikeet-work-of-a-dead-process"));
    Files.createFile(left.resolve("lock"));
    Files.writeString(left.resolve("adapter.arrow"), "half an adapter");
    Path file = directory.resolve("voyage.arrow");
    Run run = lorikeet("adapters", "convert", adapter(), file, "--model", TINY.base());
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    try (Stream<Path> files = Files.list(directory)) {
      assertEquals(List.of(file), files.toList());
    }
  }

  @Test
  void whereThereIsNothingToListThatIsSaid() {
    assertTrue(lorikeet("adapters", "list", directory).out().startsWith("none below "));
    assertEquals(ExitCode.USAGE, lorikeet("adapters", "list", directory.resolve("no")).exitCode());
    assertEquals(ExitCode.USAGE, lorikeet("adapters").exitCode());
  }

  /** Writes the adapter without the weights of one module. */
  private Path withoutAModule() throws IOException {
    Path adapter = Files.createDirectory(directory.resolve("part"));
    Files.copy(adapter().resolve("adapter_config.json"), adapter.resolve("adapter_config.json"));
    ByteBuffer file =
        ByteBuffer.wrap(Files.readAllBytes(adapter().resolve("adapter_model.safetensors")))
            .order(ByteOrder.LITTLE_ENDIAN);
    int data = 8 + (int) file.getLong(0);
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode header = (ObjectNode) mapper.readTree(file.array(), 8, data - 8);
    ObjectNode kept = mapper.createObjectNode();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (var tensor : header.properties()) {
      if (tensor.getKey().equals("__metadata__") || tensor.getKey().contains(LEFT_OUT)) {
        continue;
      }
      ObjectNode moved = tensor.getValue().deepCopy();
      int from = moved.at("/data_offsets/0").intValue();
      int to = moved.at("/data_offsets/1").intValue();
      moved.putArray("data_offsets").add(bytes.size()).add(bytes.size() + to - from);
      bytes.write(file.array(), data + from, to - from);
      kept.set(tensor.getKey(), moved);
    }
    byte[] json = mapper.writeValueAsBytes(kept);
    ByteBuffer written =
        ByteBuffer.allocate(8 + json.length + bytes.size()).order(ByteOrder.LITTLE_ENDIAN);
    written.putLong(json.length).put(json).put(bytes.toByteArray());
    Files.write(adapter.resolve("adapter_model.safetensors"), written.array());
    return adapter;
  }

  @Test
  void modulesWithoutWeightsAreAWarningOrWhereItIsStrictARefusal() throws IOException {
    Path part = withoutAModule();
    Path file = directory.resolve("part.arrow");
    for (List<Object> command :
        List.<List<Object>>of(
            List.of("adapters", "inspect", part, "-m", TINY.base()),
            List.of("adapters", "convert", part, file, "-m", TINY.base(), "--force"))) {
      Run loose = lorikeet(command.toArray());
      assertEquals(ExitCode.OK, loose.exitCode(), loose::err);
      Run strict = lorikeet(Stream.concat(command.stream(), Stream.of("--strict")).toArray());
      assertEquals(ExitCode.FAILURE, strict.exitCode(), strict::out);
      assertTrue(strict.err().contains("ADAPTER_INVALID"), strict::err);
      assertTrue(strict.err().contains(LEFT_OUT), strict::err);
    }
    Run whole = lorikeet("adapters", "inspect", adapter(), "-m", TINY.base(), "--strict");
    assertEquals(ExitCode.OK, whole.exitCode(), whole::err);
    Run alone = lorikeet("adapters", "inspect", part, "--strict");
    assertEquals(ExitCode.USAGE, alone.exitCode());
    assertTrue(alone.err().contains("--strict: expected --model"), alone::err);
  }

  @Test
  void linksLeadIntoFoldersThatAreTrusted() throws IOException {
    Path store = Files.createDirectory(directory.resolve("store"));
    Path adapter = Files.createDirectories(directory.resolve("all/linked"));
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.copy(adapter().resolve(file), store.resolve(file));
      Files.createSymbolicLink(adapter.resolve(file), store.resolve(file));
    }
    List<List<Object>> commands =
        List.of(
            List.of("adapters", "list", directory.resolve("all")),
            List.of("adapters", "inspect", adapter, "-m", TINY.base()),
            List.of(
                "adapters", "convert", adapter, directory.resolve("l.arrow"), "-m", TINY.base()),
            List.of("generate", "-m", TINY.base(), "-a", "x=" + adapter, "-p", "The", "-n", "2"));
    for (List<Object> command : commands) {
      Run refused = lorikeet(command.toArray());
      assertEquals(ExitCode.FAILURE, refused.exitCode(), refused::out);
      String said = refused.out() + refused.err();
      assertTrue(said.contains("--trust-links"), said);
      Run trusted =
          lorikeet(Stream.concat(command.stream(), Stream.of("--trust-links", store)).toArray());
      assertEquals(ExitCode.OK, trusted.exitCode(), trusted::err);
      Run none =
          lorikeet(
              Stream.concat(command.stream(), Stream.of("--trust-links", store.resolve("x")))
                  .toArray());
      assertEquals(ExitCode.USAGE, none.exitCode(), none::err);
    }
  }
}
