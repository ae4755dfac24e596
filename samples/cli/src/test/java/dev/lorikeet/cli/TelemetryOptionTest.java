package dev.lorikeet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.tiny.TinyModel;
import io.opentelemetry.api.GlobalOpenTelemetry;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Spans and metrics of commands. */
class TelemetryOptionTest {
  private static final TinyModel TINY = TinyModel.extract();
  private static final String ENDPOINT = "otel.exporter.otlp.endpoint";

  @AfterEach
  void forget() {
    GlobalOpenTelemetry.resetForTest();
    System.clearProperty(ENDPOINT);
  }

  private static Run generate(String... more) {
    String[] args = {
      "generate",
      "--json",
      "--pool-size",
      "64M",
      "--model",
      TINY.base().toString(),
      "--adapter",
      "voyage=" + TINY.adapter("voyage"),
      "--prompt",
      "The ship",
      "--max-tokens",
      "5"
    };
    String[] all = Arrays.copyOf(args, args.length + more.length);
    System.arraycopy(more, 0, all, args.length, more.length);
    return Run.with(Plugins::discover, "", all);
  }

  private static void assertLine(Run run, String... parts) {
    List<String> lines =
        run.err().lines().filter(line -> Arrays.stream(parts).allMatch(line::contains)).toList();
    assertEquals(1, lines.size(), () -> List.of(parts) + " in\n" + run.err());
  }

  @Test
  void spansAndMetricsArePrintedBesideTheOutput() {
    Run run = generate("--telemetry", "print");
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertEquals(5, run.json().at("/generations/0/ids").size());
    assertLine(run, "text_completion base", "gen_ai.usage.output_tokens=5");
    assertLine(run, "  adapter_load", "lorikeet.adapter=voyage");
    assertLine(run, "  decode", "lorikeet.tokens=5");
    assertLine(run, "gen_ai.server.time_to_first_token", "1 times");
    assertLine(run, "lorikeet.adapter.loads", " 1");
    assertLine(run, "lorikeet.decoder.tokens", " 4 ", "decode");
  }

  @Test
  void spansAndMetricsAreExportedByHttpUnlessTheUsualSettingsSayOtherwise() throws IOException {
    Set<String> received = ConcurrentHashMap.newKeySet();
    HttpServer collector =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    collector.createContext(
        "/",
        exchange -> {
          exchange.getRequestBody().readAllBytes();
          received.add(exchange.getRequestURI().getPath());
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    collector.start();
    try {
      // What the variable OTEL_EXPORTER_OTLP_ENDPOINT sets, for a process of its own.
      System.setProperty(ENDPOINT, "http://localhost:" + collector.getAddress().getPort());
      Run run = generate("--telemetry", "export");
      assertEquals(ExitCode.OK, run.exitCode(), run::err);
    } finally {
      collector.stop(0);
    }
    assertEquals(Set.of("/v1/traces", "/v1/metrics"), received);
  }

  @Test
  void withoutTheOptionNothingIsSetUp() {
    Run run = generate();
    assertEquals(ExitCode.OK, run.exitCode(), run::err);
    assertEquals("", run.err());
    assertTrue(!GlobalOpenTelemetry.isSet());
  }
}
