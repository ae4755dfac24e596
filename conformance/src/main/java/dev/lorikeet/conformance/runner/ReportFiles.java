package dev.lorikeet.conformance.runner;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.conformance.trial.Specification;
import dev.lorikeet.plugin.Availability;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import javax.xml.stream.XMLOutputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamWriter;

/** The reports for machines: {@code conformance.json}, and JUnit's XML for each provider. */
final class ReportFiles {
  private final Path folder;
  private final Profile profile;
  private final long seed;

  ReportFiles(Path folder, Profile profile, long seed) {
    this.folder = folder;
    this.profile = profile;
    this.seed = seed;
  }

  void write(List<PluginReport> reports) {
    try {
      Files.createDirectories(folder);
      new ObjectMapper()
          .writerWithDefaultPrettyPrinter()
          .writeValue(folder.resolve("conformance.json").toFile(), json(reports));
      try (PrintStream text =
          new PrintStream(
              Files.newOutputStream(folder.resolve("report.txt")), false, StandardCharsets.UTF_8)) {
        TextReport report = new TextReport(text, profile, seed);
        report.begin(reports.size());
        reports.forEach(report::print);
        report.end(reports);
      }
      for (PluginReport report : reports) {
        xml(report);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(folder + ": the report cannot be written", e);
    } catch (XMLStreamException e) {
      throw new IllegalStateException(folder + ": the report cannot be written", e);
    }
  }

  private Map<String, Object> json(List<PluginReport> reports) {
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("profile", profile.name().toLowerCase(Locale.ROOT));
    root.put("seed", Long.toHexString(seed));
    root.put(
        "conforms",
        reports.stream().anyMatch(PluginReport::conforms)
            && reports.stream().allMatch(r -> r.broken().isEmpty() && !r.plugin().isFailed()));
    List<Object> providers = new ArrayList<>();
    Specification specification = Specification.bundled();
    for (PluginReport report : reports) {
      Map<String, Object> provider = new LinkedHashMap<>();
      provider.put("kind", report.plugin().kind().title());
      provider.put("name", report.plugin().name());
      provider.put("class", report.plugin().className());
      provider.put("location", report.plugin().location());
      provider.put("state", state(report.plugin().availability()));
      provider.put("detail", report.plugin().availability().detail());
      provider.put("options", report.options());
      provider.put("conforms", report.conforms());
      provider.put("tested", report.tested());
      List<Object> rules = new ArrayList<>();
      report.byRule().forEach((rule, tests) -> rules.add(rule(rule, tests, specification)));
      provider.put("rules", rules);
      providers.add(provider);
    }
    root.put("providers", providers);
    return root;
  }

  private static String state(Availability availability) {
    return switch (availability) {
      case Availability.Available _ -> "Ready";
      case Availability.Unavailable _ -> "Unavailable";
      case Availability.Failed _ -> "Failed";
    };
  }

  private static Map<String, Object> rule(
      String rule, List<TestOutcome> tests, Specification specification) {
    Map<String, Object> entry = new LinkedHashMap<>();
    entry.put("rule", rule);
    entry.put("text", specification.rules().getOrDefault(rule, ""));
    entry.put("verdict", PluginReport.verdict(tests).toString().toLowerCase(Locale.ROOT));
    List<Object> list = new ArrayList<>();
    for (TestOutcome test : tests) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("test", test.test());
      one.put("kind", test.kind());
      one.put("verdict", test.verdict().toString().toLowerCase(Locale.ROOT));
      if (!test.reason().isEmpty()) {
        one.put("reason", test.reason());
      }
      one.put("seed", test.seed());
      test.worstError().ifPresent(error -> one.put("worstError", error));
      one.put("seconds", test.seconds());
      list.add(one);
    }
    entry.put("tests", list);
    return entry;
  }

  private void xml(PluginReport report) throws IOException, XMLStreamException {
    String suite = report.plugin().kind().title().replace(' ', '-') + "-" + report.plugin().name();
    Path file = folder.resolve("TEST-" + suite.replaceAll("[^A-Za-z0-9._-]", "_") + ".xml");
    try (OutputStream stream = Files.newOutputStream(file)) {
      XMLStreamWriter xml =
          XMLOutputFactory.newDefaultFactory().createXMLStreamWriter(stream, "UTF-8");
      xml.writeStartDocument("UTF-8", "1.0");
      xml.writeStartElement("testsuite");
      xml.writeAttribute("name", suite);
      xml.writeAttribute("tests", Integer.toString(report.outcomes().size()));
      xml.writeAttribute("failures", count(report, Verdict.FAIL));
      xml.writeAttribute("errors", "0");
      xml.writeAttribute(
          "skipped",
          Long.toString(
              report.outcomes().stream()
                  .filter(o -> o.verdict() != Verdict.PASS && o.verdict() != Verdict.FAIL)
                  .count()));
      xml.writeAttribute(
          "time", seconds(report.outcomes().stream().mapToDouble(TestOutcome::seconds).sum()));
      xml.writeStartElement("properties");
      property(xml, "profile", profile.name().toLowerCase(Locale.ROOT));
      property(xml, "seed", Long.toHexString(seed));
      for (Map.Entry<String, String> option : report.options().entrySet()) {
        property(xml, "option." + option.getKey(), option.getValue());
      }
      xml.writeEndElement();
      for (TestOutcome outcome : report.outcomes()) {
        testCase(xml, report, outcome);
      }
      xml.writeEndElement();
      xml.writeEndDocument();
      xml.close();
    }
  }

  private static void property(XMLStreamWriter xml, String name, String value)
      throws XMLStreamException {
    xml.writeEmptyElement("property");
    xml.writeAttribute("name", printable(name));
    xml.writeAttribute("value", printable(value));
  }

  private static void testCase(XMLStreamWriter xml, PluginReport report, TestOutcome outcome)
      throws XMLStreamException {
    xml.writeStartElement("testcase");
    xml.writeAttribute("name", outcome.test());
    xml.writeAttribute("classname", report.plugin().className());
    xml.writeAttribute("time", seconds(outcome.seconds()));
    switch (outcome.verdict()) {
      case PASS -> {}
      case FAIL -> {
        xml.writeStartElement("failure");
        xml.writeAttribute("message", printable(outcome.reason()));
        xml.writeCharacters(printable(outcome.details()));
        xml.writeEndElement();
      }
      case NOT_APPLICABLE, UNTESTED -> {
        xml.writeStartElement("skipped");
        xml.writeAttribute("message", outcome.verdict() + ": " + printable(outcome.reason()));
        xml.writeEndElement();
      }
    }
    xml.writeEndElement();
  }

  /** XML has no place for most control characters, and messages quote hostile texts. */
  private static String printable(String text) {
    return text.codePoints()
        .map(
            c ->
                c == '\n'
                        || c == '\t'
                        || (c >= 0x20 && c < 0xD800)
                        || (c >= 0xE000 && c <= 0xFFFD)
                        || c > 0xFFFF
                    ? c
                    : '?')
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  private static String count(PluginReport report, Verdict verdict) {
    return Long.toString(report.outcomes().stream().filter(o -> o.verdict() == verdict).count());
  }

  private static String seconds(double seconds) {
    return String.format(Locale.ROOT, "%.3f", seconds);
  }
}
