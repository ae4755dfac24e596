package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.memory.PagePoolProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConformanceCommandTest {
  @TempDir Path directory;

  @Test
  void aPluginWithoutProvidersDoesNotConform() {
    Run run = Run.of("conformance", "--plugin", directory.toString());
    assertEquals(ExitCode.FAILURE, run.exitCode());
    assertTrue(run.out().contains("found no provider"), run.out());

    Run json = Run.of("conformance", "--plugin", directory.toString(), "--json");
    assertEquals(ExitCode.FAILURE, json.exitCode());
    assertTrue(json.json().at("/error/message").asText().contains("found no provider"));
  }

  @Test
  void aPluginThatFailsToLoadIsReportedAsSuch() throws IOException {
    Path services = Files.createDirectories(directory.resolve("META-INF/services"));
    Files.writeString(services.resolve(PagePoolProvider.class.getName()), "no.such.Pool");

    Run run = Run.of("conformance", "--plugin", directory.toString(), "--json");
    assertEquals(ExitCode.FAILURE, run.exitCode(), run::err);
    assertTrue(run.out().contains("no.such.Pool"), run.out());
    assertFalse(run.json().isMissingNode());
  }

  @Test
  void wrongUsageIsToldBeforeAnythingRuns() {
    assertEquals(ExitCode.USAGE, Run.of("conformance", "--plugin", "/no/such.jar").exitCode());
    assertEquals(
        ExitCode.USAGE,
        Run.of("conformance", "--plugin", directory.toString(), "--seed", "xyz").exitCode());
    assertEquals(ExitCode.USAGE, Run.of("conformance", "--quick", "--thorough").exitCode());
    Run run = Run.of("conformance", "--plugin", directory.toString(), "--option", "router/uniform");
    assertEquals(ExitCode.USAGE, run.exitCode());
    assertTrue(run.err().contains("expected KIND/NAME.KEY=VALUE"), run::err);
  }
}
