package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.fake.FakePlugins;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class GenerateCommandTest {
  @TempDir Path directory;

  private Run generate(String... args) {
    List<String> all = new ArrayList<>(List.of("generate", "--model", directory.toString()));
    all.addAll(List.of(args));
    return Run.of(all.toArray(String[]::new));
  }

  private String adapter(String name) {
    return name + "=" + directory;
  }

  @Test
  void aSinglePromptStreamsItsTextAlone() {
    Run run = generate("--prompt", "hi");
    assertEquals(new Run(0, " base says hi\n", ""), run);
  }

  @Test
  void theOneAdapterGivenIsUsed() {
    assertEquals(" red says hi\n", generate("--adapter", adapter("red"), "-p", "hi").out());
  }

  @Test
  void oneOfSeveralAdaptersIsUsedByName() {
    Run run = generate("-a", adapter("red"), "-a", adapter("blue"), "--use", "blue", "-p", "hi");
    assertEquals(" blue says hi\n", run.out());
  }

  @Test
  void noneMeansTheBaseModel() {
    assertEquals(
        " base says hi\n", generate("-a", adapter("red"), "--use", "none", "-p", "hi").out());
  }

  @Test
  void severalAdaptersWithoutAChoiceAreWrongUsage() {
    Run run = generate("-a", adapter("red"), "-a", adapter("blue"), "-p", "hi");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("--use, --mix, --router or --each"), run.err());
    assertEquals("", run.out());
  }

  @Test
  void anAdapterThatWasNotGivenIsWrongUsage() {
    Run run = generate("-a", adapter("red"), "--use", "blue", "-p", "hi");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("--use: expected one of [red], found 'blue'"), run.err());
  }

  @Test
  void oneNameForTwoAdaptersIsWrongUsage() {
    Run run = generate("-a", adapter("red"), "--adapter=" + adapter("red"), "-p", "hi");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("expected each name once, found red twice"), run.err());
    Run unnamed = generate("-a", directory.toString(), "-p", "hi");
    assertEquals(ExitCode.USAGE, unnamed.exitCode());
    assertTrue(unnamed.err().contains("expected NAME=DIR, found " + directory), unnamed.err());
  }

  @Test
  void twoChoicesAtOnceAreWrongUsage() {
    Run run = generate("-a", adapter("red"), "--use", "red", "--each", "-p", "hi");
    assertEquals(ExitCode.USAGE, run.exitCode());
  }

  @Test
  void eachAdapterAndTheBaseAnswerSideBySide() {
    Run run = generate("-a", adapter("red"), "-a", adapter("b"), "--each", "-p", "hi", "-p", "ho");
    assertEquals(
        """
        > hi
        base |  base says hi
        red  |  red says hi
        b    |  b says hi

        > ho
        base |  base says ho
        red  |  red says ho
        b    |  b says ho
        """,
        run.out());
  }

  @Test
  void aMixtureKeepsItsWeights() {
    Run run =
        generate("-a", adapter("red"), "-a", adapter("b"), "--mix", "red=0.25,b=0.75", "-p", "hi");
    assertEquals(" [red*0.25, b*0.75] says hi\n", run.out());
  }

  @Test
  void aRouterChooses() {
    Run run = generate("-a", adapter("red"), "-a", adapter("b"), "--router", "last", "-p", "hi");
    assertEquals(" red says hi\n", run.out());
  }

  @Test
  void anUnknownRouterOptionIsWrongUsage() {
    Run run =
        generate("-a", adapter("red"), "--router", "last", "--router-option", "x=1", "-p", "hi");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("router plugin 'last': unknown option"), run.err());
  }

  @Test
  void aRouterThatFailsToLoadIsAnEnvironmentErrorWithItsReason() {
    Run run = generate("--router", "no.such.Router", "-p", "hi");
    assertEquals(ExitCode.ENVIRONMENT, run.exitCode());
    assertTrue(run.err().startsWith("lorikeet: PLUGIN_UNAVAILABLE: no router"), run.err());
  }

  @Test
  void thePromptComesFromTheStandardInput() {
    Run run =
        Run.with(FakePlugins::discover, "from a pipe\n", "generate", "-m", directory.toString());
    assertEquals(" base says from a pipe\n", run.out());
  }

  @Test
  void thePromptComesFromAFileWithoutItsLastLineEnd() throws IOException {
    Path file = Files.writeString(directory.resolve("prompt.txt"), "two\nlines é\r\n");
    assertEquals(" base says two\nlines é\n", generate("--prompt-file", file.toString()).out());
  }

  @Test
  void aPromptFileThatIsNotUtf8IsRefusedByName() throws IOException {
    Path file = Files.write(directory.resolve("prompt.txt"), new byte[] {(byte) 0xff, 'x'});
    Run run = generate("--prompt-file", file.toString());
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertEquals(
        "lorikeet: INVALID_REQUEST: prompt from " + file + ": expected UTF-8\n", run.err());
  }

  @Test
  void aMissingPromptIsWrongUsage() {
    Run run = generate();
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("expected --prompt"), run.err());
  }

  @Test
  void aChatHasASystemAndAUserMessage() {
    Run run = generate("--chat", "--system", "be kind", "-p", "hi");
    assertEquals(" base says <system>be kind<user>hi\n", run.out());
  }

  @Test
  void samplingOutOfRangeIsWrongUsageAndNamesTheParameter() {
    for (List<String> bad :
        List.of(
            List.of("--temperature", "-1"),
            List.of("--top-p", "0"),
            List.of("--top-k", "-2"),
            List.of("--max-tokens", "0"),
            List.of("--stop", ""),
            List.of("--timeout", "0"))) {
      Run run = generate("-p", "hi", bad.get(0), bad.get(1));
      assertEquals(ExitCode.USAGE, run.exitCode(), bad::toString);
      assertTrue(run.err().contains("expected"), run.err());
    }
  }

  @Test
  void anUnknownPluginOptionIsWrongUsage() {
    Run run = generate("-p", "hi", "--option", "model.colour=red");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(
        run.err()
            .contains("base model plugin 'fake': unknown option 'colour'; known are [threads]"),
        run.err());

    Run kind = generate("-p", "hi", "--option", "colour=red");
    assertEquals(ExitCode.USAGE, kind.exitCode());
    assertTrue(kind.err().contains("found 'colour'"), kind.err());
  }

  @Test
  void anUnknownPluginIsAnEnvironmentErrorThatTellsWhatWasFound() {
    Run run = generate("-p", "hi", "--executor", "fake-gpu");
    assertEquals(ExitCode.ENVIRONMENT, run.exitCode());
    assertTrue(run.err().contains("fake-gpu (no device)"), run.err());
  }

  @Test
  void aMissingModelIsOneLineWithTheStableCode() {
    Run run = Run.of("generate", "--model", "/no/such/model", "-p", "hi");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertEquals(
        "lorikeet: MODEL_INVALID: /no/such/model: expected a model directory, found none\n",
        run.err());
  }

  @Test
  void aFailureIsAlsoJsonForThoseWhoAskedForIt() {
    Run run = Run.of("generate", "--model", "/no/such/model", "-p", "hi", "--json");
    assertEquals("MODEL_INVALID", run.json().at("/error/code").asText());
    assertTrue(run.json().at("/error/message").asText().contains("/no/such/model"));

    Run usage = Run.of("generate", "--json", "--model", "x", "--no-such-option");
    assertEquals(ExitCode.USAGE, usage.exitCode());
    assertEquals("USAGE", usage.json().at("/error/code").asText());
  }

  @Test
  void stackTracesAreForThoseWhoAsk() {
    String[] args = {"generate", "--model", "/no/such/model", "-p", "hi", "--verbose"};
    assertTrue(Run.of(args).err().contains("\tat dev.lorikeet."));
  }

  @Test
  void oneFailureLeavesTheOthersAndGivesAnExitCode() {
    Run run = generate("-a", adapter("red"), "--each", "-p", "fail");
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.out().contains("base |  base says fail\n"), run.out());
    assertTrue(run.out().contains("red  | failed: QUEUE_TIMEOUT: waited too long\n"), run.out());
    assertEquals("lorikeet: QUEUE_TIMEOUT: red: waited too long\n", run.err());
  }

  @Test
  void jsonTellsIdsUsageAndFailures() {
    Run run = generate("-a", adapter("red"), "--each", "-p", "fail", "--json", "-n", "3");
    JsonNode base = run.json().at("/generations/0");
    assertEquals("[1,102,97,105,108]", base.get("prompt_ids").toString());
    assertEquals("[32,98,97]", base.get("ids").toString());
    assertEquals(" ba", base.get("text").asText());
    assertTrue(base.get("adapter").isNull());
    assertEquals("length", base.get("finish_reason").asText());
    assertEquals(3, base.at("/usage/generated_tokens").asInt());
    assertTrue(base.get("error").isNull());
    JsonNode red = run.json().at("/generations/1");
    assertEquals("red", red.get("adapter").asText());
    assertEquals("QUEUE_TIMEOUT", red.at("/error/code").asText());
    assertEquals("fake", run.json().at("/plugins/base_model").asText());
    assertEquals(2, run.json().at("/batch/sequences").asInt());
  }

  @Test
  void streamedJsonIsOneObjectALine() throws IOException {
    Run run = generate("-p", "hi", "--json", "--stream", "-n", "2");
    List<JsonNode> lines = new ArrayList<>();
    for (String line : run.out().lines().toList()) {
      lines.add(new ObjectMapper().readTree(line));
    }
    assertEquals(
        List.of("token", "token", "result", "summary"),
        lines.stream().map(line -> line.get("type").asText()).toList());
    assertEquals(98, lines.get(1).get("id").asInt());
    assertEquals(" b", lines.get(2).at("/generation/text").asText());
  }

  @Test
  void interruptionCancelsAndIsToldByTheExitCode() {
    Thread.currentThread().interrupt();
    Run run = generate("-p", "hang");
    assertTrue(Thread.interrupted(), "the interruption is kept");
    assertEquals(ExitCode.INTERRUPTED, run.exitCode());
    assertTrue(run.err().endsWith("lorikeet: CANCELLED: interrupted\n"), run.err());
  }
}
