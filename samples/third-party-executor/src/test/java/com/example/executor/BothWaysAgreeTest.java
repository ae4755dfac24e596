package com.example.executor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.runner.ConformanceRunner;
import dev.lorikeet.conformance.setup.Profile;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The runner finds by itself what the tests beside this one are told. */
class BothWaysAgreeTest {
  @TempDir Path reports;

  private final ByteArrayOutputStream text = new ByteArrayOutputStream();

  private int run(Class<?> ofLocation) throws URISyntaxException {
    Path location = Path.of(ofLocation.getProtectionDomain().getCodeSource().getLocation().toURI());
    return ConformanceRunner.run(
        ConformanceRunner.Options.of(List.of(location), Profile.QUICK).reporting(reports),
        new PrintStream(text, true, StandardCharsets.UTF_8));
  }

  private String text() {
    return text.toString(StandardCharsets.UTF_8);
  }

  @Test
  void theRunnerSaysThatTheExecutorConforms() throws Exception {
    assertEquals(ConformanceRunner.CONFORMS, run(PlainExecutor.class), this::text);
    assertTrue(text().contains("'plain-java'"), this::text);
    assertTrue(Files.readString(reports.resolve("conformance.json")).contains("\"X2\""));
    assertTrue(Files.exists(reports.resolve("TEST-LoRA-executor-plain-java.xml")));
  }

  @Test
  void theRunnerSaysWhatIsWrongWithTheBrokenTwin() throws Exception {
    assertEquals(ConformanceRunner.DOES_NOT_CONFORM, run(BrokenTwinProvider.class), this::text);
    assertTrue(text().contains("does NOT conform; broken: X11"), this::text);
  }
}
